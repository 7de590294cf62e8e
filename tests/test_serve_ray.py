"""The service on Ray Serve: answers equal the labeler's, a killed replica is not seen, the pool is whole again."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from services.launching import run_server
from tests.builders import make_pixels, make_smooth_pixels
from tests.service_builders import RAY_ENVIRONMENT, RunningService, run_service

pytestmark = pytest.mark.cluster
REPLICAS = 2
SIZES = [(640, 480), (480, 640), (1200, 80), (90, 1400), (256, 256), (1000, 700), (64, 64), (333, 222)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with run_service(tmp_path_factory.mktemp("service"), "--replicas", str(REPLICAS), ray=True) as running:
        yield running
        children = psutil.Process(running.pid).children(recursive=True)
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert (len(gone) > REPLICAS, alive) == (True, []), "a process of Ray did not end with the service"


def encode(size: tuple[int, int], number: int = 0) -> bytes:
    import cv2

    pixels = make_smooth_pixels(*size) if number % 2 else make_pixels(*size)
    return bytes(cv2.imencode(".png", pixels)[1])


def ask(service: RunningService, data: bytes) -> httpx.Response:
    headers = {"Content-Type": "image/png"}
    return httpx.post(
        f"{service.url}/v1/boxes?labels=7&scales=96&scales=192", content=data, headers=headers, timeout=60
    )


def find_replicas(service: RunningService) -> set[int]:
    """Process ids of the labelers: children of Ray's node that call themselves so."""
    tree = psutil.Process(service.pid).children(recursive=True)
    return {one.pid for one in tree if one.is_running() and "PseudoLabeler" in " ".join(_command(one))}


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_ready_and_model_are_told_and_the_request_is_named_once(service: RunningService):
    assert httpx.get(f"{service.url}/readyz", timeout=30).json() == {"ready": True}
    model = httpx.get(f"{service.url}/v1/models", timeout=30).json()["models"][0]
    assert (model["classifier"], model["num_classes"]) == ("lite0", 1000)
    answer = httpx.get(f"{service.url}/healthz", headers={"X-Request-Id": "mine-1"}, timeout=30)
    assert answer.headers.get_list("x-request-id") == ["mine-1"]


def test_a_burst_of_very_different_shapes_gives_each_its_single_result(service: RunningService):
    images = [encode(size, number) for number, size in enumerate(SIZES)]
    alone = [ask(service, data).json()["items"][0]["boxes"] for data in images]
    with ThreadPoolExecutor(len(images) * 2) as pool:
        burst = list(pool.map(lambda data: ask(service, data), images * 2))
    assert [answer.json()["items"][0]["boxes"] for answer in burst] == alone * 2
    assert any(alone)


def test_bad_images_fail_alone_through_ray(service: RunningService):
    files = [("images", ("a.png", encode((200, 150)))), ("images", ("b.png", b"\x89PNG\r\n\x1a\nbroken"))]
    items = httpx.post(f"{service.url}/v1/boxes", files=files, timeout=60).json()["items"]
    assert [item.get("problem", {}).get("type") for item in items] == [None, "/problems/truncated-image"]


def test_callers_that_go_away_take_their_images_out_of_the_labelers(service: RunningService):
    """Forty images are some seconds of work; all callers leave, and soon the labelers have nothing to do."""
    image, replicas = encode((1000, 700), 1), find_replicas(service)

    def leave(_: int) -> None:
        with suppress(httpx.ReadTimeout):
            timeout = httpx.Timeout(30, read=0.5)
            httpx.post(f"{service.url}/v1/boxes", content=image, headers={"Content-Type": "image/png"}, timeout=timeout)

    before = {pid: _cpu_seconds(pid) for pid in replicas}
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(leave, range(40)))
    assert any(_cpu_seconds(pid) > before[pid] for pid in replicas), "no labeler had begun"
    time.sleep(1.5)
    calm = {pid: _cpu_seconds(pid) for pid in replicas}
    time.sleep(1)
    assert all(_cpu_seconds(pid) - calm[pid] < 0.2 for pid in replicas)


def test_a_killed_replica_is_not_seen_and_the_pool_is_whole_again(service: RunningService):
    """SIGKILL on the busier labeler while requests are under way; every answer is 200, then two labelers are there."""
    before = find_replicas(service)
    assert len(before) == REPLICAS
    image, statuses, stop = encode((900, 700)), [], threading.Event()

    def load() -> None:
        while not stop.is_set():
            statuses.append(ask(service, image).status_code)

    with ThreadPoolExecutor(8) as pool:
        loading = [pool.submit(load) for _ in range(8)]
        try:
            victim = wait_for_work(before)
            killed_after = len(statuses)
            os.kill(victim, signal.SIGKILL)
            time.sleep(3)
        finally:
            stop.set()
        for one in loading:
            one.result()
    assert set(statuses) == {200}
    assert len(statuses) > killed_after + 8
    deadline = time.monotonic() + 60
    while len(find_replicas(service) - {victim}) < REPLICAS and time.monotonic() < deadline:
        time.sleep(0.5)
    after = find_replicas(service)
    assert len(after) == REPLICAS
    assert victim not in after
    assert ask(service, image).status_code == 200


def wait_for_work(replicas: set[int]) -> int:
    """The replica that is first seen to compute."""
    before = {pid: _cpu_seconds(pid) for pid in replicas}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for pid in replicas:
            if _cpu_seconds(pid) - before[pid] > 0.5:
                return pid
        time.sleep(0.05)
    raise AssertionError("no replica was at work")


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@pytest.mark.soak
def test_the_serve_file_runs_with_an_ingress_behind_the_proxies_of_serve(tmp_path: Path):
    file = yaml.safe_load((Path(__file__).parents[1] / "deploy" / "serve.yaml").read_text())
    file["applications"][0]["args"]["store"] = str(tmp_path)
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(file))
    command = [sys.executable, str(Path(__file__).with_name("serve_file.py")), str(tmp_path / "serve.yaml"), "{port}"]
    with run_server(command, tmp_path / "log", environment=RAY_ENVIRONMENT) as running:
        answer = ask(running, encode((200, 150)))
        assert answer.status_code == 200
        assert len(answer.headers.get_list("x-request-id")) == 1
        assert answer.json()["items"][0]["boxes"]
        assert ask(running, b"no image").json()["type"] == "/problems/not-an-image"
