"""The API when there is too much, too late, or no caller any more; the labeler is a script."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.api.admission import Admission
from services.api.problems import ProblemError
from tests.api_builders import (
    ScriptedLabeling,
    assert_problem,
    exchange,
    make_head,
    make_png,
    post_form,
    post_image,
    read_metric,
    run_app,
    wait_until,
)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_more_than_may_be_under_way_is_refused_at_once_until_there_is_room(tmp_path: Path, background):
    labeling = ScriptedLabeling()
    with run_app(labeling, tmp_path, max_in_flight=3) as client:
        first = [background.submit(post_image, client) for _ in range(2)]
        wait_until(lambda: len(labeling.seen) == 2)
        assert_problem(post_form(client, [("a", b"x"), ("b", b"y")]), 503, "overloaded")  # one more would fit
        first.append(background.submit(post_image, client))
        wait_until(lambda: len(labeling.seen) == 3)
        problem = assert_problem(post_image(client), 503, "overloaded")
        assert problem["retry_after_s"] >= 1
        assert read_metric(client, "dap_images_in_flight") == 3
        assert client.get("/healthz").json() == {"live": True}
        labeling.opened.set()
        assert [one.result().status_code for one in first] == [200] * 3
        assert post_form(client, [("a", b"x"), ("b", b"y"), ("c", b"z")]).status_code == 200
        assert read_metric(client, "dap_images_in_flight") == 0


def test_a_form_may_not_have_more_images_than_may_be_under_way(tmp_path: Path):
    with run_app(ScriptedLabeling(), tmp_path, max_in_flight=2) as client:
        assert client.get("/v1/limits").json()["max_images"] == 2
        assert_problem(post_form(client, [("a", b"x")] * 3), 413, "too-many-parts")


def test_bytes_under_way_are_bounded_and_given_back(tmp_path: Path, background):
    labeling = ScriptedLabeling()
    large = bytes(18 * 2**20)
    with run_app(labeling, tmp_path, max_bytes_in_flight=32 * 2**20) as client:
        first = background.submit(post_image, client, large)
        wait_until(lambda: labeling.seen)
        assert_problem(post_image(client, large), 503, "overloaded")
        assert_problem(post_form(client, [("a", large)]), 503, "overloaded")
        small = background.submit(post_image, client)
        wait_until(lambda: len(labeling.seen) == 2)
        labeling.opened.set()
        assert (first.result().status_code, small.result().status_code) == (200, 200)
        assert post_image(client, large).status_code == 200


def test_an_image_without_boxes_in_time_is_let_go(tmp_path: Path):
    labeling = ScriptedLabeling()
    with run_app(labeling, tmp_path, deadline_s=0.3, max_in_flight=2) as client:
        for _ in range(2):
            problem = assert_problem(post_form(client, [("a", b"x"), ("b", b"y")]), 504, "deadline-exceeded")
            assert problem["retry_after_s"] >= 1
        assert labeling.num_cancelled == len(labeling.seen) == 4
        assert read_metric(client, "dap_images_in_flight") == 0


@pytest.mark.parametrize("part", ["answer", "body"])
def test_a_caller_that_goes_away_frees_its_place(tmp_path: Path, part: str):
    labeling, data = ScriptedLabeling(), make_png()
    with run_app(labeling, tmp_path, max_in_flight=1) as client:
        url = client.base_url
        head = make_head(str(url), "Content-Type: image/png", f"Content-Length: {len(data) + (part == 'body')}")
        connection = socket.create_connection((url.host, url.port or 80))
        connection.sendall(head + data)
        if part == "answer":
            wait_until(lambda: labeling.seen)
        connection.close()
        gone = 'dap_http_requests_total{method="POST",route="/v1/boxes",status="499"}'
        wait_until(lambda: read_metric(client, gone) == 1)
        assert labeling.num_cancelled == (part == "answer")
        labeling.opened.set()
        assert post_image(client).status_code == 200


@pytest.mark.parametrize("head", [b"GET /healthz HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n"])
def test_a_head_without_end_is_cut_off(tmp_path: Path, head: bytes):
    """A parser that took it all would stand still for minutes, and everybody with it."""
    piece = b"X: y\r\n" * 10_000 if head.endswith(b"\n") else b"x" * 60_000
    with run_app(ScriptedLabeling(), tmp_path) as client:
        found = exchange(str(client.base_url), iter([head, *[piece] * 1000]))
        assert found.response is None or found.response.status_code == 400
        assert found.is_closed
        assert found.num_sent < 10e6
        assert client.get("/healthz").status_code == 200


def test_the_time_to_wait_follows_the_pace_of_the_last_answers(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    admission = Admission(100, 1)
    assert admission.estimate_wait_s() == 1
    for _ in range(20):
        with admission.admit(1):
            now += 0.5
        now += 1000  # nothing to do: says nothing about the pace
    with admission.admit(40), pytest.raises(ProblemError) as refused:
        admission.check_room(61)
    assert refused.value.retry_after_s == 10
    with admission.admit(1), admission.admit(99):
        now += 10_000
        assert admission.estimate_wait_s() == 60
