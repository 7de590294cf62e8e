"""The API when there is too much, too late, no caller any more, no model or a defect; the labeler is a script."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from dap_core.errors import ImageError, StoreError
from dap_core.types import FailedImage
from services.api.admission import Admission
from services.api.problems import ProblemError
from services.labeling import LabelRequest, NotReadyError, Reply
from tests.api_builders import (
    EMPTY,
    ScriptedLabeling,
    assert_problem,
    make_head,
    make_png,
    post_form,
    post_image,
    run_app,
    wait_until,
)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def read_metric(client: httpx.Client, line: str) -> float:
    """The value of a line of `/metrics`, 0 where there is none."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


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


def test_a_model_that_is_not_ready_is_told_and_nothing_is_read(tmp_path: Path):
    labeling = ScriptedLabeling()
    labeling.not_ready = NotReadyError("the model is loading")
    with run_app(labeling, tmp_path) as client:
        for answer in (post_image(client), client.get("/readyz"), client.get("/v1/classes"), client.get("/v1/models")):
            assert assert_problem(answer, 503, "model-not-ready")["retry_after_s"] >= 1
        assert client.get("/healthz").json() == {"live": True}
        labeling.not_ready = None
        assert client.get("/readyz").json() == {"ready": True}


def test_labelers_that_are_lost_midway_fail_the_request_for_now(tmp_path: Path):
    async def reply(request: LabelRequest) -> Reply:
        if request.data == b"lost":
            raise NotReadyError
        return await labeling.wait(request)

    labeling = ScriptedLabeling(reply)
    with run_app(labeling, tmp_path) as client:
        assert_problem(post_form(client, [("a", b"x"), ("b", b"lost"), ("c", b"y")]), 503, "model-not-ready")
        assert labeling.num_cancelled == 2


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[httpx.Client]:
    """An application whose labeler has a defect that only some images show."""

    async def reply(request: LabelRequest) -> Reply:
        if request.data == b"defect":
            raise KeyError("/srv/secret/model.bin")
        if request.data == b"store":
            return FailedImage(StoreError("/srv/secret/bucket"))
        return FailedImage(ImageError("empty-image", "the file is empty")) if request.data == b"bad" else EMPTY

    with run_app(ScriptedLabeling(reply), tmp_path) as client:
        yield client


@pytest.mark.parametrize("data", [b"defect", b"store"])
def test_a_defect_is_logged_and_not_shown(broken: httpx.Client, caplog: pytest.LogCaptureFixture, data: bytes):
    caplog.set_level(logging.INFO, "dap.api")
    answer = post_image(broken, data, headers={"X-Request-Id": "case-7"})
    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    if data == b"defect":
        [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert "case-7" in record.getMessage()
        assert record.exc_info
        assert "secret" in str(record.exc_info[1])
        assert record.exc_info[2] is not None
    assert any(one.getMessage().startswith("case-7 POST /v1/boxes 500 ") for one in caplog.records)


def test_a_defect_that_one_image_shows_leaves_the_others_alone(broken: httpx.Client, caplog: pytest.LogCaptureFixture):
    answer = post_form(broken, [("a", b"good"), ("b", b"defect"), ("c", b"bad"), ("d", b"good")])
    slugs = [item.get("problem", {}).get("type", "") for item in answer.json()["items"]]
    assert (answer.status_code, slugs) == (200, ["", "/problems/internal-error", "/problems/empty-image", ""])
    assert "secret" not in answer.text
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert f"{answer.json()['request_id']} broke at image 1" in record.getMessage()
    outcomes = {one: read_metric(broken, f'dap_images_total{{outcome="{one}"}}') for one in ("ok", "internal-error")}
    assert outcomes == {"ok": 2, "internal-error": 1}


def test_requests_images_and_boxes_are_counted(broken: httpx.Client):
    post_image(broken)
    post_image(broken, b"bad")
    broken.get("/nothing/like/this")
    broken.request("GET", "/problems/overloaded")
    assert broken.get("/metrics").headers["content-type"].startswith("text/plain; version=")
    counted = {
        'dap_http_requests_total{method="POST",route="/v1/boxes",status="200"}': 1,
        'dap_http_requests_total{method="POST",route="/v1/boxes",status="422"}': 1,
        'dap_http_requests_total{method="GET",route="other",status="404"}': 1,
        'dap_http_requests_total{method="GET",route="/problems/{slug}",status="200"}': 1,
        'dap_http_request_seconds_count{route="/v1/boxes"}': 2,
        'dap_images_total{outcome="ok"}': 1,
        'dap_images_total{outcome="empty-image"}': 1,
        "dap_boxes_total": 0,
        "dap_images_in_flight_limit": 64,
    }
    assert {line: read_metric(broken, line) for line in counted} == counted


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
