"""A real service under bad input: every request has its one answer, memory stays bounded, and it goes on answering."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api_builders import RawAnswer, assert_problem, exchange, make_head, post_form, post_image
from tests.bad_request_builders import BAD_IMAGES, BOMBS, END, FILE_NAMES, GOOD_IMAGES, JPEG, PNG, REQUESTS, part
from tests.service_builders import RunningService, run_service

MEBIBYTE = 2**20
BODY_TIMEOUT_S, MAX_BYTES_IN_FLIGHT = 3, 64 * MEBIBYTE
FORM = "Content-Type: multipart/form-data; boundary=b0undary"
IMAGE = "Content-Type: image/jpeg"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that waits 3 s for a body, holds 64 MiB of them, and would write temporary files into `tmp`."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "tmp").mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAP_BODY_TIMEOUT_S", str(BODY_TIMEOUT_S))
        environment.setenv("DAP_MAX_BYTES_IN_FLIGHT", str(MAX_BYTES_IN_FLIGHT))
        environment.setenv("TMPDIR", str(folder / "tmp"))
        with run_service(folder) as running:
            yield running


@pytest.fixture(scope="module")
def client(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def good(client: httpx.Client) -> list[Any]:
    """The items of a good request, before anything bad was sent."""
    return find_good(client)


@pytest.fixture(scope="module")
def told() -> list[str]:
    """How the lines of the log begin that tell of the requests of this module."""
    return []


def find_good(client: httpx.Client) -> list[Any]:
    answer = post_form(client, [("a", JPEG), ("b", PNG)])
    assert answer.status_code == 200
    items: list[Any] = answer.json()["items"]
    return items


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_has_its_answer(client: httpx.Client, good: list[Any], told: list[str], name: str):
    case = REQUESTS[name]
    answer = client.request(case.method, case.path, **case.make())
    problem = assert_problem(answer, case.status, case.slug)
    pointers = [error["pointer"] for error in problem.get("errors", ())]
    assert case.hint in problem["detail"] or case.hint in pointers, problem
    told.append(f"{problem['request_id']} {case.method} ")


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_has_its_answer_alone_and_in_a_form(client: httpx.Client, good: list[Any], name: str):
    status, slug, data = BAD_IMAGES[name]
    assert_problem(post_image(client, data), status, slug)
    answer = post_form(client, [("good.jpg", JPEG), ("bad.jpg", data)])
    first, second = answer.json()["items"]
    assert (answer.status_code, second["problem"]["type"]) == (200, f"/problems/{slug}")
    assert second["problem"]["status"] == status
    assert first["boxes"] == good[0]["boxes"]


@pytest.mark.parametrize("name", GOOD_IMAGES)
@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream"])
def test_an_odd_image_is_read_whatever_it_says_it_is(client: httpx.Client, name: str, content_type: str):
    answer = client.post("/v1/boxes", content=GOOD_IMAGES[name], headers={"Content-Type": content_type})
    assert answer.status_code == 200
    [item] = answer.json()["items"]
    orientation = int(name.removeprefix("orientation ")) if name.startswith("orientation") else 1
    assert item["exif_orientation"] == (orientation if 1 <= orientation <= 8 else 1)
    assert (item["width"], item["height"]) == ((64, 96) if orientation in (6, 8) else (96, 64))
    assert "secret" not in answer.text


def test_the_same_image_twice_gives_the_same_twice(client: httpx.Client):
    first, second = post_form(client, [("a.jpg", JPEG), ("a.jpg", JPEG)]).json()["items"]
    assert first["boxes"] == second["boxes"]
    assert first["boxes"]


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_file_name_comes_back_as_it_was_and_is_escaped(client: httpx.Client, name: str):
    disposition = f'form-data; name="images"; filename="{name.replace(chr(92), chr(92) * 2)}"'
    body = part(JPEG, disposition) + b"--b0undary--"
    answer = client.post("/v1/boxes", content=body, headers=dict([FORM.split(": ")]))
    assert answer.status_code == 200
    found = answer.json()["items"][0]["name"]
    assert found == name or found == name.rpartition("\\")[2]  # without the folders of a Windows path
    assert not [one for one in answer.text if not one.isprintable()]


def test_a_zero_byte_in_a_file_name_does_no_harm(client: httpx.Client):
    body = part(JPEG, 'form-data; name="images"; filename="a\0.png"') + b"--b0undary--"
    answer = client.post("/v1/boxes", content=body, headers=dict([FORM.split(": ")]))
    assert (answer.status_code, answer.json()["items"][0]["name"]) == (200, "a\0.png")
    assert b"\0" not in answer.content


def make_chunks(*pieces: bytes) -> Iterator[bytes]:
    for piece in pieces:
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def send(service: RunningService, *headers: str, pieces: Iterable[bytes] = ()) -> RawAnswer:
    def stream() -> Iterator[bytes]:
        yield make_head(service.url, *headers)
        yield from pieces

    return exchange(service.url, stream())


def test_a_body_that_says_it_is_too_large_is_not_read(service: RunningService):
    for more in ((), ("Expect: 100-continue",)):
        found = send(service, IMAGE, f"Content-Length: {40 * MEBIBYTE}", *more)
        assert_problem(found.response, 413, "body-too-large")
        assert found.is_closed


@pytest.mark.parametrize(("kind", "slug"), [(FORM, "body-too-large"), (IMAGE, "part-too-large")])
def test_no_more_than_the_limit_is_read_of_a_body_without_length(service: RunningService, kind: str, slug: str):
    half = bytes(MEBIBYTE)
    pieces = [part(b"")[:-2], *[half] * 18, b"\r\n", part(b"")[:-2], *[half] * 60] if kind == FORM else [half] * 80
    found = send(service, kind, CHUNKED, pieces=make_chunks(*pieces))
    assert_problem(found.response, 413, slug)
    assert found.is_closed
    assert found.num_sent < (32 + 12) * MEBIBYTE  # and what the system's buffers hold


def drip(piece: bytes, pause_s: float, seconds: float) -> Iterator[bytes]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield piece
        time.sleep(pause_s)


@pytest.mark.parametrize(("length", "piece"), [(f"Content-Length: {len(JPEG)}", b"\xff"), (CHUNKED, b"1\r\n\xff\r\n")])
def test_a_slow_body_is_given_up(service: RunningService, length: str, piece: bytes):
    started = time.monotonic()
    found = send(service, IMAGE, length, pieces=drip(piece, 0.1, BODY_TIMEOUT_S + 20))
    assert_problem(found.response, 408, "request-timeout")
    assert BODY_TIMEOUT_S - 0.5 < time.monotonic() - started < BODY_TIMEOUT_S + 10
    assert found.is_closed


def test_a_connection_is_kept_after_a_small_mistake(service: RunningService):
    found = exchange(service.url, [make_head(service.url, "Content-Type: text/plain", "Content-Length: 3"), b"abc"])
    assert_problem(found.response, 415, "unsupported-media-type")
    assert not found.is_closed


def read_status(pid: int, name: str) -> int:
    """A line of `/proc/<pid>/status`, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure_growth(pid: int, attack: Callable[[], object]) -> int:
    """By how many bytes the peak of a process exceeds what it held before the attack."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak starts anew
    before = read_status(pid, "VmRSS")
    attack()
    grown = read_status(pid, "VmHWM") - before
    print(f"grown by {grown / 1e6:.1f} MB")
    return grown


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_bombs_cost_next_to_no_memory(client: httpx.Client, service: RunningService, good: list[Any]):
    def attack() -> None:
        for data in BOMBS.values():
            assert post_image(client, data).status_code == 413

    attack()
    assert measure_growth(service.pid, attack) < 20e6


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_32_attacks_at_once_stay_within_the_bytes_that_may_be_under_way(service: RunningService, good: list[Any]):
    """Forms of 31 MiB without length, 992 MiB in all, among other mischief."""
    names = ("gzip bomb", "33 images", "params of 2 MiB", "form with such an image")

    def send_large(number: int) -> int | None:
        image = [part(b"")[:-2], *[bytes([number]) * MEBIBYTE] * 15, b"\r\n"]
        answer = send(service, FORM, CHUNKED, pieces=make_chunks(*image, *image, END, b"")).response
        return answer.status_code if answer else None

    def send_case(name: str) -> int:
        case = REQUESTS[name]
        return httpx.request(case.method, service.url + case.path, **case.make(), timeout=60).status_code

    def attack() -> None:
        with ThreadPoolExecutor(32) as pool:
            large = [pool.submit(send_large, number) for number in range(32)]
            cases = [pool.submit(send_case, name) for name in names]
            assert {one.result() for one in large} <= {200, 408, 503, None}
            assert all(one.result() in (503, REQUESTS[name].status) for name, one in zip(names, cases, strict=True))

    assert measure_growth(service.pid, attack) < MAX_BYTES_IN_FLIGHT + 64 * MEBIBYTE


def test_after_all_of_it_the_service_answers_as_before(
    client: httpx.Client, service: RunningService, good: list[Any], told: list[str]
):
    assert find_good(client) == good
    assert client.get("/readyz").json() == {"ready": True}
    assert "dap_images_in_flight 0.0" in client.get("/metrics").text
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "broke" not in log
    assert [line for line in told if line not in log] == []
    assert list((service.log.parent / "tmp").iterdir()) == []
