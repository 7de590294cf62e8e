"""Label sets over HTTP: a sample in numbers and images, for who sees the job alone, and pictures that only show."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from dap_core.evaluation import find_suspicious
from dap_core.label_sets import Failure, LabelSet, LabelSetRow, open_label_set
from dap_core.label_sets.manifest import Manifest, write_manifest
from dap_core.label_sets.sampling import read_sample
from dap_core.recipes import PredictionRecipe
from dap_core.stores import LocalStore
from dap_core.types import ClassList, PseudoBoxes
from tests.api_builders import assert_problem
from tests.builders import encode_image, make_boxes, make_exif, make_smooth_pixels
from tests.job_api_builders import JobPlace, make_job_place
from tests.page_builders import RECIPE, SIZE_WH, make_row, make_set

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.exe"
JPEG = encode_image(make_smooth_pixels(200, 100), "JPEG", exif=make_exif(6))


@pytest.fixture
def place(tmp_path: Path) -> JobPlace:
    return make_job_place(tmp_path)


@pytest.fixture
def client(place: JobPlace) -> Iterator[httpx.Client]:
    with place.serve() as client:
        yield client


def submit(client: httpx.Client, place: JobPlace, **headers: str) -> str:
    answer = client.post("/v1/jobs", json=place.make_mine(), headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def fill(place: JobPlace, rows: Sequence[LabelSetRow], **options: Any) -> LabelSet:
    """The label set where the job writes."""
    return make_set(place.data / "labels", rows, **options)


def make_mixed_rows() -> list[LabelSetRow]:
    """Six images of two classes; the third has no box, the fourth another first choice."""
    rows = [make_row(index, labels=(index % 2,)) for index in range(6)]
    rows[2] = replace(rows[2], boxes=PseudoBoxes.empty(), no_box_reasons=((0, "flat-map"),))
    rows[3] = replace(rows[3], top1=0, label_scores=(0.1,))
    return rows


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def read_picture(answer: httpx.Response) -> Image.Image:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
    return Image.open(io.BytesIO(answer.content))


def test_a_label_set_is_told_in_numbers(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    made = fill(place, make_mixed_rows(), failures=[Failure("z", "empty-image", "the file is empty")])
    seen = get(client, f"/v1/jobs/{job}/label-set")
    assert (seen["job"], seen["place"], seen["state"], seen["sha256"]) == (job, made.store.uri, "complete", made.sha256)
    assert (seen["images"], seen["ok"], seen["failed"]) == (7, 6, 1)
    assert seen["boxes"] == made.manifest.counts.num_boxes
    assert (seen["recipe"], seen["has_cams"]) == (json.loads(json.dumps(RECIPE.to_dict())), True)
    assert sorted((one["index"], one["name"], one["images"]) for one in seen["classes"]) == [
        (0, "class 0", 3),
        (1, "class 1", 3),
    ]
    assert sum(one["boxes"] for one in seen["classes"]) == seen["boxes"]
    assert seen["sample"] == {"images": 6}
    statistics = seen["statistics"]
    assert (statistics["num_images"], statistics["num_boxes"], statistics["num_labels"]) == (6, seen["boxes"], 2)
    assert (sum(statistics["boxes_per_image"]["counts"]), statistics["boxes_per_image"]["counts"][0]) == (6, 1)
    assert statistics["aspect"]["edges"][-1] is None
    assert statistics["no_box_reasons"] == {"flat-map": 1}
    assert seen["num_suspicious"] == len(find_suspicious(made)) > 1


def test_images_are_told_as_those_of_a_request_with_maps_on_demand(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    [row] = rows = [make_row(0, labels=(0, 1), label_scores=(0.75, math.nan))]
    fill(place, rows)
    page = get(client, f"/v1/jobs/{job}/label-set/images")
    assert (page["total"], page["next_cursor"]) == (1, None)
    [item] = page["items"]
    assert (item["number"], item["key"], item["width"], item["height"]) == (0, row.key, *SIZE_WH)
    assert [one["score"] for one in item["labels"]] == [0.75, None]
    assert item["top1"] == {"index": 0, "wnid": "x0", "name": "class 0", "score": 0.75}
    assert np.allclose([one["xyxy"] for one in item["boxes"]], row.boxes.boxes)
    assert set(item["boxes"][0]) == {"xyxy", "label", "score", "threshold"}
    assert "cams" not in item
    [with_cams] = get(client, f"/v1/jobs/{job}/label-set/images", cams=True)["items"]
    assert get(client, f"/v1/jobs/{job}/label-set/images/0") == with_cams
    for told, cam in zip(with_cams["cams"], row.cams, strict=True):
        values = np.frombuffer(base64.b64decode(told["values"]), "<u2").reshape(told["height"], told["width"])
        assert (told["label"], values.tolist()) == (cam.label, cam.values.tolist())
    assert_problem(client.get(f"/v1/jobs/{job}/label-set/images/1"), 404, "not-found")


def test_pages_go_over_all_shards_and_row_groups_once(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    rows = [replace(make_row(), key=f"{index:03d}") for index in range(130)]
    rows[77] = replace(rows[77], cams=make_row(5).cams)
    fill(place, rows, max_rows=70)
    keys: list[str] = []
    query: dict[str, Any] = {"limit": 33}
    while True:
        page = get(client, f"/v1/jobs/{job}/label-set/images", **query)
        keys += [one["key"] for one in page["items"]]
        assert page["total"] == 130
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert keys == [row.key for row in rows]
    told = get(client, f"/v1/jobs/{job}/label-set/images/77")
    assert told["key"] == "077"
    assert told["cams"][0]["values"] == base64.b64encode(rows[77].cams[0].values.tobytes()).decode()
    beyond = get(client, f"/v1/jobs/{job}/label-set/images", cursor="500")
    assert (beyond["items"], beyond["next_cursor"]) == ([], None)


def test_images_of_a_class_those_without_boxes_and_the_worst_first(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    made = fill(place, make_mixed_rows())

    def numbers(**query: Any) -> list[int]:
        page = get(client, f"/v1/jobs/{job}/label-set/images", **query)
        assert page["total"] == len(page["items"])
        return [one["number"] for one in page["items"]]

    assert numbers(**{"class": 1}) == [1, 3, 5]
    assert numbers(**{"class": 7}) == []
    assert numbers(only="no-box") == [2]
    assert numbers(only="no-box", **{"class": 1}) == []
    worst = get(client, f"/v1/jobs/{job}/label-set/images", order="worst")["items"]
    assert sorted(one["number"] for one in worst) == list(range(6))
    expected = find_suspicious(made)
    assert {one["key"] for one in worst[: len(expected)]} == {one.key for one in expected}
    assert [one["reasons"] for one in worst[:2]] == [list(one.reasons) for one in expected[:2]]
    assert worst[0]["reasons"][0] == "no box for class 0: flat-map"
    assert all(not one["reasons"] for one in worst[len(expected) :])


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"order": "best"}, {"only": "boxes"}, {"class": -1}, {"cursor": "x"}, {"label": 1}],
)
def test_what_cannot_be_asked_is_refused(client: httpx.Client, place: JobPlace, query: dict[str, Any]):
    job = submit(client, place)
    assert client.get(f"/v1/jobs/{job}/label-set/images", params=query).status_code == 422


def test_only_those_who_see_the_job_see_what_it_has_made(place: JobPlace):
    ann, ben, root = place.make_key("ann"), place.make_key("ben"), place.make_key("root", "admin")
    with place.serve() as client:
        job = submit(client, place, **ann)
        fill(place, [make_row()], failures=[Failure("bad", "empty-image", "")])
        base = f"/v1/jobs/{job}/label-set"
        for path in (base, f"{base}/images", f"{base}/images/0", f"{base}/images/0/file"):
            assert client.get(path, headers=ann).status_code == client.get(path, headers=root).status_code == 200
            assert_problem(client.get(path, headers=ben), 404, "not-found")
            assert_problem(client.get(path), 401, "unauthenticated")
        assert_problem(client.get(f"/v1/jobs/{job}/failures/0/file", headers=ben), 404, "not-found")


def test_a_label_set_that_is_not_there_says_why(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    for path in ("", "/images", "/images/0", "/images/0/file"):
        problem = client.get(f"/v1/jobs/{job}/label-set{path}")
        assert (problem.status_code, "made no label set yet" in problem.json()["detail"]) == (404, True)
    export = {"kind": "export", "label_set": str(place.data / "labels"), "out": str(place.data / "coco")}
    other = client.post("/v1/jobs", json=export).json()["id"]
    assert "export makes no label set" in client.get(f"/v1/jobs/{other}/label-set").json()["detail"]
    assert_problem(client.get(f"/v1/jobs/{other}/failures/0/file"), 404, "not-found")


def test_a_partial_set_is_shown_as_such(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    made = fill(place, [make_row(index) for index in range(4)], max_rows=2)
    [segment] = made.manifest.segments
    write_manifest(made.store, Manifest(made.manifest.settings, (replace(segment, shards=segment.shards[:1]),)))
    seen = get(client, f"/v1/jobs/{job}/label-set")
    assert (seen["state"], seen["images"], seen["ok"], seen["sample"]) == ("partial", 4, 2, {"images": 2})


def test_an_empty_set_has_numbers(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    fill(place, [], failures=[Failure("a", "empty-image", "")])
    seen = get(client, f"/v1/jobs/{job}/label-set")
    assert (seen["ok"], seen["classes"], seen["statistics"]["num_images"]) == (0, [], 0)
    assert get(client, f"/v1/jobs/{job}/label-set/images") == {"items": [], "next_cursor": None, "total": 0}


@pytest.mark.parametrize("what", ["cut", "garbled", "gone", "manifest"])
def test_a_damaged_set_is_a_problem_that_says_so(client: httpx.Client, place: JobPlace, what: str):
    job = submit(client, place)
    made = fill(place, [make_row(index) for index in range(3)])
    shard = made.shards[0].data
    data = made.store.get(shard)
    if what == "gone":
        made.store.delete(shard)
    elif what == "manifest":
        made.store.put("manifest.json", b"{")
    else:
        made.store.put(
            shard, data[: len(data) // 2] if what == "cut" else data[:4] + bytes(len(data) - 2000) + data[-1996:]
        )
    for path in ("", "/images", "/images/0/file"):
        problem = client.get(f"/v1/jobs/{job}/label-set{path}")
        assert (problem.status_code, "dap verify" in problem.json()["detail"]) == (404, True), problem.text
    assert client.get(f"/v1/jobs/{job}").status_code == 200


def test_hostile_names_stay_names(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    classes = ClassList.from_pairs([("x0", f"cat {HOSTILE}"), ("x1", "dog")])
    page = f"<script>{HOSTILE}</script>".encode()
    fill(place, [replace(make_row(), key=HOSTILE, image=page)], classes=classes)
    answer = client.get(f"/v1/jobs/{job}/label-set/images")
    assert "\u202e" not in answer.text
    [item] = answer.json()["items"]
    assert (item["key"], item["labels"][0]["name"]) == (HOSTILE, f"cat {HOSTILE}")
    file = client.get(f"/v1/jobs/{job}/label-set/images/0/file")
    assert (file.content, file.headers["content-type"]) == (page, "application/octet-stream")
    assert (file.headers["x-content-type-options"], file.headers["content-disposition"]) == ("nosniff", "attachment")
    assert_problem(client.get(f"/v1/jobs/{job}/label-set/images/0/file?side=64"), 404, "not-found")


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
def test_a_file_is_given_as_it_was_labelled(client: httpx.Client, place: JobPlace, data: bytes, media_type: str):
    job = submit(client, place)
    fill(place, [make_row(0), replace(make_row(1), image=data)])
    answer = client.get(f"/v1/jobs/{job}/label-set/images/1/file")
    assert (answer.content, answer.headers["content-type"]) == (data, media_type)


def test_pictures_are_upright_and_no_larger_than_asked(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    fill(place, [replace(make_row(), image=JPEG)])
    for side, size in ((32, (16, 32)), (64, (32, 64)), (1024, (100, 200))):
        assert read_picture(client.get(f"/v1/jobs/{job}/label-set/images/0/file?side={side}")).size == size
    for side in ("31", "1025", "x"):
        assert client.get(f"/v1/jobs/{job}/label-set/images/0/file?side={side}").status_code == 422
    assert client.get(f"/v1/jobs/{job}/label-set/images/-1/file").status_code == 422
    assert_problem(client.get(f"/v1/jobs/{job}/label-set/images/1/file"), 404, "not-found")


def refer(place: JobPlace, key: str, data: bytes, *, source: Path | None = None) -> LabelSetRow:
    """A row that refers to a file of the source."""
    store = LocalStore(source or place.data / "images")
    store.put(key, data)
    return replace(make_row(), key=key, image=None, etag=store.describe(key).etag)


def test_images_that_are_only_referred_to_come_from_their_source(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    rows = [refer(place, f"cat/{name}.jpg", JPEG) for name in ("here", "gone", "changed")]
    fill(place, rows)
    LocalStore(place.data / "images").delete("cat/gone.jpg")
    LocalStore(place.data / "images").put("cat/changed.jpg", JPEG[:-2])
    files = [client.get(f"/v1/jobs/{job}/label-set/images/{number}/file") for number in range(3)]
    assert files[0].content == JPEG
    assert read_picture(client.get(f"/v1/jobs/{job}/label-set/images/0/file?side=50")).size == (25, 50)
    for file in files[1:]:
        assert (file.status_code, "no longer where it was labelled" in file.json()["detail"]) == (404, True)


@pytest.mark.parametrize("key", ["../../../secret.png", "link/secret.png", "/secret.png"])
def test_nothing_outside_the_places_of_jobs_is_given(client: httpx.Client, place: JobPlace, tmp_path: Path, key: str):
    job = submit(client, place)
    (tmp_path / "secret.png").write_bytes(JPEG)
    (place.data / "images").mkdir(parents=True)
    (place.data / "images" / "link").symlink_to(tmp_path)
    fill(place, [replace(make_row(), key=key, image=None)], failures=[Failure(key, "empty-image", "")])
    for path in ("label-set/images/0/file", "label-set/images/0/file?side=64", "failures/0/file"):
        answer = client.get(f"/v1/jobs/{job}/{path}")
        assert (answer.status_code, "lies outside the places" in answer.json()["detail"]) == (404, True)


def test_a_source_outside_the_places_of_jobs_is_not_read(client: httpx.Client, place: JobPlace, tmp_path: Path):
    job = submit(client, place)
    made = fill(place, [refer(place, "a.jpg", JPEG, source=tmp_path / "private")])
    settings = replace(made.manifest.settings, source=str(tmp_path / "private"))
    write_manifest(made.store, replace(made.manifest, settings=settings))
    answer = client.get(f"/v1/jobs/{job}/label-set/images/0/file")
    assert (answer.status_code, "lies outside the places" in answer.json()["detail"]) == (404, True)


def test_failures_have_numbers_and_pictures_where_there_can_be_any(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    images = {"thin.png": encode_image(make_smooth_pixels(400, 8)), "broken.jpg": JPEG[:300], "empty.jpg": b""}
    for key, data in images.items():
        LocalStore(place.data / "images").put(key, data)
    fill(place, [make_row()], failures=[Failure(key, "some-error", "why") for key in (*images, "gone.jpg")])
    page = get(client, f"/v1/jobs/{job}/failures", cursor="1", limit=2)
    assert [(one["number"], one["key"]) for one in page["items"]] == [(1, "broken.jpg"), (2, "empty.jpg")]
    assert page["next_cursor"] == "3"
    assert read_picture(client.get(f"/v1/jobs/{job}/failures/0/file")).size == (256, 5)
    assert read_picture(client.get(f"/v1/jobs/{job}/failures/0/file?side=100")).size == (100, 2)
    for number in (1, 2, 3, 4):
        assert_problem(client.get(f"/v1/jobs/{job}/failures/{number}/file"), 404, "not-found")


def test_failures_go_over_all_shards(place: JobPlace):
    made = fill(place, [make_row(index) for index in range(3)], failures=[Failure("a", "e", ""), Failure("b", "e", "")])
    [segment] = made.manifest.segments
    twice = replace(made, manifest=Manifest(made.manifest.settings, (segment, segment)))
    assert [one.key for one in twice.failures()] == ["a", "b", "a", "b"]
    assert [[one.key for one in twice.failures(start)] for start in (1, 2, 3, 4)] == [
        ["b", "a", "b"],
        ["a", "b"],
        ["b"],
        [],
    ]


def test_what_a_detector_found_has_no_maps(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    found = replace(make_row(), labels=(), label_scores=(), cams=(), boxes=make_boxes([]), top1_score=0.0)
    made = fill(place, [replace(make_row(1), cams=()), found], store_cams=False)
    recipe = PredictionRecipe(short_side=160, mirror=False, batch_size=1, score_threshold=0.05, keep_score=None)
    write_manifest(
        made.store, replace(made.manifest, settings=replace(made.manifest.settings, recipe=recipe, classifier="rcnn"))
    )
    seen = get(client, f"/v1/jobs/{job}/label-set")
    assert (seen["has_cams"], seen["recipe"], seen["classifier"]) == (False, recipe.to_dict(), "rcnn")
    assert get(client, f"/v1/jobs/{job}/label-set/images/1")["cams"] == []


class MeteredStore(LocalStore):
    """A folder that counts the bytes that are read of shards."""

    num_bytes = num_reads = 0

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        data = super().get_range(key, start, stop)
        self.num_bytes, self.num_reads = self.num_bytes + len(data), self.num_reads + 1
        return data

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        assert not key.startswith("data/"), "a shard is read piece by piece"
        return super().get(key, etag=etag)


def test_a_sample_reads_no_image(tmp_path: Path):
    rows = [replace(make_row(), key=str(index), image=bytes(50_000)) for index in range(120)]
    made = make_set(tmp_path / "set", rows)
    store = MeteredStore(tmp_path / "set")
    sample = read_sample(open_label_set(store), limit=70)
    assert [one.row.key for one in sample] == [row.key for row in rows[:70]]
    assert store.num_bytes < made.shards[0].size / 10
    assert store.num_reads < 8
