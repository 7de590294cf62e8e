"""Pictures of label sets over HTTP: as they were labelled or small, and nothing that jobs may not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from dap_core.label_sets import Failure
from dap_core.label_sets.manifest import write_manifest
from dap_core.stores import LocalStore
from tests.builders import encode_image, make_exif, make_smooth_pixels
from tests.job_api_builders import JobPlace, make_job_place
from tests.label_set_api_builders import MadeByJob, submit_mine
from tests.page_builders import make_row

JPEG = encode_image(make_smooth_pixels(200, 100), "JPEG", exif=make_exif(6))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> JobPlace:
    return make_job_place(tmp_path_factory.mktemp("label-sets"))


@pytest.fixture(scope="module")
def client(place: JobPlace) -> Iterator[httpx.Client]:
    with place.serve() as client:
        yield client


@pytest.fixture
def job(client: httpx.Client, place: JobPlace, tmp_path: Path) -> MadeByJob:
    return submit_mine(client, place, tmp_path.name)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (JPEG, "image/jpeg"),
        (encode_image(make_smooth_pixels()), "image/png"),
        (encode_image(make_smooth_pixels(), "WEBP"), "image/webp"),
        (encode_image(make_smooth_pixels(), "GIF"), "image/gif"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream"),
        (b"%PDF-1.7", "application/octet-stream"),
    ],
)
def test_a_file_is_given_as_it_was_labelled(job: MadeByJob, data: bytes, media_type: str):
    job.fill([make_row(0), replace(make_row(1), image=data)])
    answer = job.ask("label-set/images/1/file")
    assert (answer.content, answer.headers["content-type"]) == (data, media_type)


def test_pictures_are_upright_and_no_larger_than_asked(job: MadeByJob):
    job.fill([replace(make_row(), image=JPEG)])
    for side, size in ((32, (16, 32)), (64, (32, 64)), (1024, (100, 200))):
        assert job.draw(side=side).size == size
    for side in ("31", "1025", "x"):
        assert job.ask("label-set/images/0/file", side=side).status_code == 422
    refused = job.ask("label-set/images/-1/file")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/path/number")
    job.assert_missing("label-set/images/1/file", "there is no image 1 in the sample")


def test_images_that_are_only_referred_to_come_from_their_source(job: MadeByJob):
    job.fill([job.refer(f"cat/{name}.jpg", JPEG) for name in ("here", "gone", "changed")])
    job.images.delete("cat/gone.jpg")
    job.images.put("cat/changed.jpg", JPEG[:-2])
    assert job.ask("label-set/images/0/file").content == JPEG
    assert job.draw(side=50).size == (25, 50)
    for number in (1, 2):
        job.assert_missing(f"label-set/images/{number}/file", "no longer where it was labelled")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("../../../secret.png", "lies outside the places"),
        ("link/secret.png", "lies outside the places"),
        ("/secret.png", "no longer where it was labelled"),
        ("nothing\0.png", "lies outside the places"),
    ],
)
def test_nothing_outside_the_places_of_jobs_is_given(job: MadeByJob, tmp_path: Path, key: str, words: str):
    """Manifests lie where people write."""
    (job.folder.parents[1] / "secret.png").write_bytes(JPEG)
    (tmp_path / "secret.png").write_bytes(JPEG)
    job.images.put("other.png", JPEG)
    (job.images.root / "link").symlink_to(tmp_path)
    job.fill([replace(make_row(), key=key, image=None)], failures=[Failure(key, "empty-image", "")])
    for path in ("label-set/images/0/file", "failures/0/file"):
        job.assert_missing(path, words, side=64)
    job.assert_missing("label-set/images/0/file", words)


def test_a_source_outside_the_places_of_jobs_is_not_read(job: MadeByJob, tmp_path: Path):
    LocalStore(tmp_path).put("a.jpg", JPEG)
    etag = LocalStore(tmp_path).describe("a.jpg").etag
    made = job.fill([replace(make_row(), key="a.jpg", image=None, etag=etag)])
    settings = replace(made.manifest.settings, source=str(tmp_path))
    write_manifest(made.store, replace(made.manifest, settings=settings))
    job.assert_missing("label-set/images/0/file", "lies outside the places")


def test_failures_have_numbers_and_pictures_where_there_can_be_any(job: MadeByJob):
    images = {"thin.png": encode_image(make_smooth_pixels(400, 8)), "broken.jpg": JPEG[:300], "empty.jpg": b""}
    for key, data in images.items():
        job.images.put(key, data)
    job.fill([make_row()], failures=[Failure(key, "some-error", "why") for key in (*images, "gone.jpg")])
    page = job.get("failures", cursor="1", limit=2)
    assert [(one["number"], one["key"]) for one in page["items"]] == [(1, "broken.jpg"), (2, "empty.jpg")]
    assert page["next_cursor"] == "3"
    assert job.draw("failures/0/file").size == (256, 5)
    assert job.draw("failures/0/file", side=100).size == (100, 2)
    for number, words in (
        (1, "cannot be shown"),
        (2, "cannot be shown"),
        (3, "no longer where it was labelled"),
        (4, "there is no failure 4"),
    ):
        job.assert_missing(f"failures/{number}/file", words)
