"""A trained detector over HTTP: the boxes of a predict job, whoever sends what, and whatever becomes of its process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dap_core.classifier_checkpoints import save_classifier
from dap_core.classifiers import make_network
from dap_core.detectors import read_checkpoint
from dap_core.detectors.predicting import PredictionConfig, Predictor
from dap_core.errors import StoreUnavailableError
from dap_core.stores import LocalStore
from dap_core.types import PredictedImage
from services import detector_process
from services.detecting import ChildDetecting, Detection, DetectRequest
from services.detector_process import PROCESS_NAME, KeptDetectors
from tests.api_builders import assert_problem, make_png, read_metric
from tests.builders import encode_image, make_classes, make_exif, make_pixels, make_png_claiming
from tests.detector_builders import TINY
from tests.job_api_builders import JobPlace, make_job_place
from tests.model_job_builders import add_detector, make_finetune, run, submit, write_detector
from tests.waiting import wait_until

LOADING_S = 180.0
"""Libraries take their time on a machine that does much else."""
IMAGE = encode_image(make_pixels(150, 100))


@dataclass(frozen=True)
class Service:
    """A service with a detector in a child process that has begun."""

    client: httpx.Client
    place: JobPlace
    job: str


@contextmanager
def serve(folder: Path, answer_s: float = 30.0, **settings: Any) -> Iterator[Service]:
    place = make_job_place(folder)
    with (
        closing(ChildDetecting(answer_s=answer_s)) as detecting,
        place.serve(detecting=detecting, **settings) as client,
    ):
        client.timeout = httpx.Timeout(LOADING_S)
        yield Service(client, place, add_detector(client, place))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serve(tmp_path_factory.mktemp("service"), deadline_s=LOADING_S) as service:
        yield service


def post(service: Service, data: bytes = IMAGE, job: str | None = None, **params: Any) -> httpx.Response:
    headers = {"Content-Type": "image/png"} | params.pop("headers", {})
    query = {"model": job or service.job, **params}
    return service.client.post("/v1/detections", content=data, params=query, headers=headers)


def find_boxes(service: Service, **options: Any) -> dict[str, Any]:
    answer = post(service, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def find_children() -> set[int]:
    return {child.pid or 0 for child in active_children() if child.name == PROCESS_NAME}


def predict(place: str, data: bytes = IMAGE) -> PredictedImage:
    detector = read_checkpoint(LocalStore(place), "").make_detector()
    [found] = Predictor(detector, PredictionConfig(short_side=96)).predict_stream([data])
    assert isinstance(found, PredictedImage)
    return found


def test_the_boxes_are_those_of_the_library(service: Service):
    expected = predict(str(service.place.data / "tuned"))
    found = find_boxes(service, min_score=0)
    assert found["model"] == {"job": service.job, "architecture": "faster_rcnn"}
    assert (found["width"], found["height"], found["exif_orientation"], found["classes"]) == (150, 100, 1, 3)
    assert len(found["boxes"]) == min(100, len(expected.scores)) > 0
    for box, xyxy, label, score in zip(
        found["boxes"], expected.boxes, expected.labels.tolist(), expected.scores, strict=True
    ):
        assert np.float32(box["xyxy"]).tolist() == xyxy.tolist()
        assert (box["label"], box["name"], np.float32(box["score"])) == (label, f"class {label}", score)


def test_fewer_boxes_are_had_by_score_and_by_number(service: Service):
    every = find_boxes(service, min_score=0)["boxes"]
    assert find_boxes(service, min_score=0, max_boxes=3)["boxes"] == every[:3]
    middle = every[len(every) // 2]["score"]
    assert find_boxes(service, min_score=middle)["boxes"] == [box for box in every if box["score"] >= middle]
    assert find_boxes(service, min_score=1)["boxes"] == []


def test_an_image_is_upright_in_the_answer(service: Service):
    turned = encode_image(make_pixels(150, 100), "JPEG", exif=make_exif(6))
    turned_answer = find_boxes(service, data=turned, headers={"Content-Type": "application/octet-stream"})
    assert (turned_answer["width"], turned_answer["height"], turned_answer["exif_orientation"]) == (100, 150, 6)


@pytest.mark.parametrize(
    ("data", "status", "slug"),
    [
        (b"", 422, "empty-image"),
        (b"GIF89a" + bytes(100), 422, "truncated-image"),
        (b"no image", 422, "not-an-image"),
        (IMAGE[: len(IMAGE) // 2], 422, "truncated-image"),
        (make_png_claiming(60_000, 60_000), 413, "image-too-many-pixels"),
        (encode_image(make_pixels(1000, 32)), 422, "aspect-ratio-too-large"),
    ],
)
def test_a_bad_image_is_the_problem_that_it_is_for_boxes(service: Service, data: bytes, status: int, slug: str):
    assert_problem(post(service, data), status, slug)
    assert find_boxes(service)["width"] == 150


def test_what_is_no_single_image_or_no_parameter_is_refused(service: Service):
    form = service.client.post("/v1/detections", params={"model": service.job}, files={"images": IMAGE})
    assert_problem(form, 415, "unsupported-media-type")
    assert_problem(post(service, headers={"Content-Type": "text/plain"}), 415, "unsupported-media-type")
    for wrong in ({"min_score": 2}, {"min_score": "nan"}, {"max_boxes": 0}):
        assert_problem(post(service, **wrong), 422, "invalid-parameter")
    assert_problem(post(service, score=1), 422, "unknown-parameter")
    assert_problem(service.client.post("/v1/detections", content=IMAGE), 422, "invalid-parameter")


def test_a_job_that_made_no_detector_is_not_found(service: Service):
    place, client = service.place, service.client
    spec = {"kind": "train-classifier", "source": [str(place.data / "photos")], "out": str(place.data / "classifier")}
    classifier, waiting = submit(client, spec), submit(client, make_finetune(place, "waiting"))
    save_classifier(LocalStore(spec["out"]), make_network(TINY, 2), make_classes(2), step=1, recipe={}, parents={})
    run(client, place, classifier)
    mined = submit(client, place.make_mine())
    for job, words in (
        (classifier, "made a classifier"),
        (waiting, "has no checkpoint"),
        (mined, "of kind mine"),
        ("none", "there is no job"),
        ("../../etc", "there is no job"),
    ):
        assert words in assert_problem(post(service, job=job), 404, "not-found")["detail"]


def test_a_damaged_detector_is_told_of(service: Service):
    job = add_detector(service.client, service.place, "damaged")
    (service.place.data / "damaged" / "model.safetensors").write_bytes(b"nothing")
    assert "is damaged" in assert_problem(post(service, job=job), 404, "not-found")["detail"]
    (service.place.data / "damaged" / "model.safetensors").unlink()
    assert "model.safetensors" in post(service, job=job).json()["detail"]
    assert find_boxes(service)["boxes"]


def test_a_detector_that_is_written_anew_is_loaded_anew(service: Service):
    job = add_detector(service.client, service.place, "again")
    first = find_boxes(service, job=job, min_score=0)["boxes"]
    write_detector(str(service.place.data / "again"), seed=5)
    second = find_boxes(service, job=job, min_score=0)["boxes"]
    expected = predict(str(service.place.data / "again"))
    assert first != second
    assert np.float32([box["score"] for box in second]).tolist() == expected.scores.tolist()


def test_many_ask_at_once_and_one_process_answers(service: Service):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: find_boxes(service)["boxes"], range(16)))
    assert all(boxes == answers[0] for boxes in answers)
    assert len(find_children()) == 1
    assert read_metric(service.client, 'dap_images_total{outcome="ok"}') >= 16


def test_a_process_that_died_is_replaced(service: Service):
    before = find_boxes(service)["boxes"]
    [child] = find_children()
    os.kill(child, signal.SIGKILL)
    assert find_boxes(service)["boxes"] == before
    assert child not in find_children()


def test_a_process_that_hangs_is_replaced_and_the_caller_told_in_time(tmp_path: Path):
    others = find_children()
    with serve(tmp_path, answer_s=5.0, deadline_s=10.0) as service:
        wait_until(lambda: post(service).status_code == 200, within_s=LOADING_S)
        [child] = find_children() - others
        os.kill(child, signal.SIGSTOP)
        assert_problem(post(service), 503, "model-not-ready")
        wait_until(lambda: post(service).status_code == 200, within_s=LOADING_S)
        assert child not in find_children()
    assert find_children() <= others


def test_answers_come_within_the_deadline_while_a_detector_is_loaded(tmp_path: Path):
    with serve(tmp_path, deadline_s=0.2) as service:
        problem = assert_problem(post(service), 504, "deadline-exceeded")
        assert "0.2 s" in problem["detail"]
        wait_until(lambda: post(service).status_code == 200, within_s=LOADING_S)


class ScriptedDetecting:
    """Waits, or raises, or finds nothing."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.num_asked, self.num_cancelled = error, 0, 0

    async def detect(self, _request: DetectRequest) -> Detection:
        self.num_asked += 1
        if self.error:
            raise self.error
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        raise AssertionError

    def close(self) -> None:
        pass


def test_what_is_under_way_is_bounded_together_with_boxes(tmp_path: Path):
    place, detecting = make_job_place(tmp_path), ScriptedDetecting()
    with place.serve(detecting=detecting, max_in_flight=1, deadline_s=3) as client, ThreadPoolExecutor(1) as pool:
        service = Service(client, place, add_detector(client, place))
        waiting = pool.submit(post, service)
        wait_until(lambda: detecting.num_asked)
        assert_problem(post(service), 503, "overloaded")
        assert_problem(client.post("/v1/boxes", content=make_png()), 503, "overloaded")
        assert_problem(waiting.result(), 504, "deadline-exceeded")
        assert detecting.num_cancelled == 1


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [(StoreUnavailableError("gone"), 503, "store-unavailable"), (RuntimeError("odd"), 500, "internal-error")],
)
def test_what_goes_wrong_there_is_a_problem(tmp_path: Path, error: Exception, status: int, slug: str):
    place = make_job_place(tmp_path)
    with place.serve(detecting=ScriptedDetecting(error)) as client:
        assert_problem(post(Service(client, place, add_detector(client, place))), status, slug)


def test_keys_use_the_detectors_of_their_own_jobs(tmp_path: Path):
    place = make_job_place(tmp_path)
    ann, ben, cid = place.make_key("ann"), place.make_key("ben"), place.make_key("cid", "label")
    with place.serve(detecting=ScriptedDetecting(StoreUnavailableError("asked"))) as client:
        service = Service(client, place, add_detector(client, place, headers=ann))
        assert_problem(post(service, headers=ann), 503, "store-unavailable")
        assert_problem(post(service, headers=ben), 404, "not-found")
        assert_problem(post(service, headers=cid), 403, "forbidden")
        assert_problem(post(service), 401, "unauthenticated")


def test_two_detectors_are_kept_those_of_last(monkeypatch: pytest.MonkeyPatch):
    loaded: list[str] = []

    def load(place: str, _sha256: str, _device: str | None) -> Any:
        return place

    monkeypatch.setattr(detector_process, "load_detector", load)
    kept = KeptDetectors(None)
    for place in "abacba":
        assert kept.find(place, "0", lambda: loaded.append(place)) == place  # noqa: B023 - called at once
    assert loaded == ["a", "b", "c", "b", "a"]
