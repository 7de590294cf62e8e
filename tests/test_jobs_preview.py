"""A few images of a job of kind mine, labelled over HTTP as the job would."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from dap_core.labeler import PseudoLabeler
from services.labeling import LabelerPool
from tests.api_builders import assert_problem, post_image, run_app
from tests.builders import encode_image, make_scene, make_toy_classifier
from tests.job_api_builders import JobPlace, make_job_place

NUM_IMAGES = 9


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> JobPlace:
    made = make_job_place(tmp_path_factory.mktemp("preview"))
    folder = made.data / "photos"
    folder.mkdir(parents=True)
    for number in range(NUM_IMAGES):
        corners = (10 + 4 * number, 10, 60 + 4 * number, 50)
        (folder / f"{number}.png").write_bytes(encode_image(make_scene((120, 90), corners)))
    return made


@pytest.fixture(scope="module")
def client(place: JobPlace) -> Iterator[httpx.Client]:
    pool = LabelerPool(PseudoLabeler(make_toy_classifier()))
    with run_app(pool, place.root, jobs=place.make_desk()) as client:
        yield client
    pool.close()


def preview(client: httpx.Client, spec: dict[str, Any], **query: Any) -> httpx.Response:
    return client.post("/v1/jobs:preview", json=spec, params=query)


def test_images_are_labelled_as_alone(client: httpx.Client, place: JobPlace):
    spec = place.make_mine(labels=["0"], thresholds=[0.3, 0.6], nms_iou=0.5)
    answer = preview(client, spec, images=4)
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert len({item["key"] for item in items}) == 4
    for item in items:
        data = (place.data / "photos" / item["key"]).read_bytes()
        query = {"labels": ["0"], "thresholds": [0.3, 0.6], "nms_iou": 0.5, "cams": True}
        [alone] = post_image(client, data, params=query).json()["items"]
        assert {**item, "index": 0} == {**alone, "key": item["key"], "jpeg": item["jpeg"]}
        picture = Image.open(io.BytesIO(base64.b64decode(item["jpeg"])))
        assert (picture.format, picture.size) == ("JPEG", (120, 90))
    assert preview(client, spec, images=4).json()["items"] == items
    assert list(place.jobs.list_jobs()) == []
    assert not (place.data / "labels").exists()


def test_a_bad_image_fails_alone(client: httpx.Client, place: JobPlace, tmp_path: Path):
    folder = place.data / "mixed"
    folder.mkdir()
    (folder / "good.png").write_bytes((place.data / "photos" / "0.png").read_bytes())
    (folder / "bad.png").write_bytes(b"no image")
    answer = preview(client, place.make_mine(source=[str(folder)], labels=["0"]), images=6)
    found = {item["key"]: item for item in answer.json()["items"]}
    assert found["good.png"]["boxes"]
    assert (found["bad.png"]["jpeg"], found["bad.png"]["problem"]["status"]) == (None, 422)


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"recipe": "none"}, "#/recipe", "aligned"),
        ({"short_sides": [4096]}, "#/short_sides/0", "1024"),
        ({"thresholds": [1.5]}, "#/thresholds/0", "less than 1"),
        ({"labels": []}, "#/source", "label"),
        ({"nms_iou": "high"}, "#/nms_iou", "number"),
    ],
)
def test_what_cannot_be_shown_is_told_at_its_field(
    client: httpx.Client, place: JobPlace, changes: dict[str, Any], pointer: str, words: str
):
    answer = preview(client, {**place.make_mine(labels=["0"]), **changes})
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert words in error["detail"]


def test_only_jobs_that_mine_and_places_of_the_service_are_looked_at(client: httpx.Client, place: JobPlace):
    other = {"kind": "recut", "label_set": str(place.data / "a"), "out": str(place.data / "b")}
    assert preview(client, other).json()["errors"][0]["pointer"] == "#/kind"
    assert_problem(preview(client, place.make_mine(labels=["0"]), images=7), 422, "invalid-parameter")
    outside = preview(client, place.make_mine(source=["/etc"], labels=["0"]))
    assert (outside.status_code, outside.json()["type"]) == (422, "/problems/place-not-allowed")
