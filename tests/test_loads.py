"""Load and what is counted of it, against a small server whose answers are known."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.launching import ServerError, run_server
from services.loads import Call, run_closed_loop, run_open_loop
from services.measuring import count_well, make_contestant, measure_serving
from tests.mining_builders import write_colour_folder

OK, BUSY, RUDE, CUT = (Call(path, b"x", "image/jpeg") for path in ("/ok", "/busy", "/rude", "/cut"))


class Scripted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    under_way = most = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/cut":
            self.close_connection = True
            return
        Scripted.under_way += 1
        Scripted.most = max(Scripted.most, Scripted.under_way)
        time.sleep(0.05)
        Scripted.under_way -= 1
        self.send_response(200 if self.path == "/ok" else 503)
        if self.path == "/busy":
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_callers_that_wait_keep_their_number_in_flight(url: str):
    Scripted.most = 0
    result = run_closed_loop(url, [OK] * 12, in_flight=3)
    assert (result.statuses, result.num_calls, result.num_ok) == ({200: 12}, 12, 12)
    assert Scripted.most == 3
    assert 0.04 < result.percentile_s(50) <= result.percentile_s(99) < 2
    assert result.images_per_s == pytest.approx(12 / result.wall_s)


def test_every_kind_of_answer_is_counted(url: str):
    result = run_closed_loop(url, [OK, BUSY, BUSY, RUDE, CUT], in_flight=1)
    assert result.statuses == {200: 1, 503: 3, 0: 1}
    assert result.refused_well == pytest.approx(2 / 3)
    assert count_well(result) == pytest.approx(3)


def test_callers_that_come_whatever_happens_come_in_time(url: str):
    called: list[float] = []
    started = time.monotonic()
    result = run_open_loop(url, [OK], per_s=20, seconds=1, meanwhile=lambda: called.append(time.monotonic() - started))
    assert result.num_calls == 20
    assert result.wall_s == 1
    assert 0.4 < called[0] < 0.9


def test_a_server_that_fails_to_start_is_reported_with_its_log(tmp_path: Path):
    command = [sys.executable, "-c", "print('no luck'); raise SystemExit(3)", "{port}"]
    with pytest.raises(ServerError, match=r"ended at once, with 3:\s+no luck"), run_server(command, tmp_path / "log"):
        pass


@pytest.mark.soak
@pytest.mark.e2e
def test_the_benchmark_measures_a_real_service(tmp_path: Path):
    files = sorted(path for path in write_colour_folder(tmp_path / "images", 2).rglob("*") if path.is_file())
    images = [(path.read_bytes(), str(number)) for number, path in enumerate(files[:2])]
    contestant = make_contestant("one process", images, "--no-ray", "--max-in-flight", "4")
    speed = measure_serving(
        images, [contestant], num_rounds=1, overload_s=1, overloaded=["one process"], max_in_flight=4
    )
    [server], [overload] = speed.servers, speed.overloads
    assert server.images_per_s > 0
    assert overload.answered_well == 1
    assert overload.num_calls == int(10 * server.images_per_s)
