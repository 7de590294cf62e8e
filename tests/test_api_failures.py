"""The API without a model, with a defect, and what it keeps of a request; the labeler is a script."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from dap_core.errors import ImageError, StoreError
from dap_core.types import FailedImage
from services.api.bodies import Upload
from services.api.forms import Collected, FormReader
from services.labeling import LabelRequest, NotReadyError, Reply
from tests.api_builders import (
    EMPTY,
    ScriptedLabeling,
    assert_problem,
    post_form,
    post_image,
    read_metric,
    run_app,
    wait_until,
)


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


async def reply_or_break(request: LabelRequest) -> Reply:
    """What a labeler says that has a defect which only some images show."""
    if request.data == b"defect":
        raise KeyError("/srv/secret/model.bin")
    if request.data == b"store":
        return FailedImage(StoreError("/srv/secret/bucket"))
    return FailedImage(ImageError("empty-image", "the file is empty")) if request.data == b"bad" else EMPTY


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[httpx.Client]:
    """An application with such a labeler."""
    with run_app(ScriptedLabeling(reply_or_break), tmp_path) as client:
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
    wait_until(lambda: any(one.getMessage().startswith("case-7 POST /v1/boxes 500 ") for one in caplog.records))


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


def find_holders() -> dict[int, object]:
    """What holds the bytes of a request."""
    return {id(one): one for one in gc.get_objects() if type(one) in (LabelRequest, Upload, FormReader, Collected)}


FORM = {"Content-Type": "multipart/form-data; boundary=x"}
CALLS: dict[str, Callable[[httpx.Client], httpx.Response]] = {
    **{data: partial(post_image, data=data.encode()) for data in ("good", "bad", "store", "defect", "gone", "late")},
    **{
        f"form, {data}": partial(post_form, images=[("a", data), ("b", b"x")])
        for data in (b"bad", b"defect", b"gone", b"late")
    },
    "form, cut": partial(post_image, data=b"--x\r\nContent-Disposition: form-data; name=images\r\n\r\n", headers=FORM),
    "form, odd": partial(post_image, data=b"nonsense", headers=FORM),
    "parameter": partial(post_image, params={"a": "b"}),
    "too large": partial(post_image, data=bytes(21 * 2**20)),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_of_a_request_outlives_its_answer(tmp_path: Path, name: str):
    """A cycle of references would hold its bytes after they are no longer counted."""

    async def reply(request: LabelRequest) -> Reply:
        if request.data == b"gone":
            raise NotReadyError
        return await (labeling.wait(request) if request.data == b"late" else reply_or_break(request))

    labeling = ScriptedLabeling(reply)
    with run_app(labeling, tmp_path, deadline_s=0.2) as client:
        gc.collect()
        gc.disable()
        before = find_holders()
        logging.disable()  # pytest would keep the exception
        try:
            CALLS[name](client)
            labeling.seen.clear()
            wait_until(lambda: find_holders().keys() <= before.keys())
        finally:
            logging.disable(logging.NOTSET)
            gc.enable()
