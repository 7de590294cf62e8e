"""Label sets over HTTP: a sample in numbers and images, for who sees the job alone, and pictures that only show."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dap_core.errors import LabelSetError, StoreUnavailableError
from dap_core.evaluation import find_suspicious
from dap_core.label_sets import Failure, LabelSetRow, open_label_set
from dap_core.label_sets.manifest import Manifest, write_manifest
from dap_core.label_sets.sampling import read_sample
from dap_core.recipes import PredictionRecipe
from dap_core.stores import LocalStore
from dap_core.types import ClassList, PseudoBoxes
from services.jobs.mining import run_mine
from tests.api_builders import assert_problem
from tests.builders import encode_image, make_boxes, make_exif, make_smooth_pixels
from tests.job_api_builders import JobPlace, make_job_place
from tests.label_set_api_builders import MadeByJob, submit_mine
from tests.page_builders import RECIPE, SIZE_WH, make_row, make_set

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.exe"
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


def make_mixed_rows() -> list[LabelSetRow]:
    """Six images of two classes; the third has no box, the fourth another first choice."""
    rows = [make_row(index, labels=(index % 2,)) for index in range(6)]
    rows[2] = replace(rows[2], boxes=PseudoBoxes.empty(), no_box_reasons=((0, "flat-map"),))
    rows[3] = replace(rows[3], top1=0, label_scores=(0.1,))
    return rows


def test_a_label_set_is_told_in_numbers(job: MadeByJob):
    made = job.fill(make_mixed_rows(), failures=[Failure("z", "empty-image", "the file is empty")])
    seen = job.get()
    assert (seen["job"], seen["place"], seen["state"], seen["sha256"]) == (
        job.id,
        made.store.uri,
        "complete",
        made.sha256,
    )
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
    assert sum(statistics["scores"]["counts"]) == statistics["num_boxes"]
    assert statistics["no_box_reasons"] == {"flat-map": 1}
    assert seen["num_suspicious"] == len(find_suspicious(made)) > 1


def test_images_are_told_as_those_of_a_request_with_maps_on_demand(job: MadeByJob):
    [row] = rows = [make_row(0, labels=(0, 1), label_scores=(0.75, math.nan))]
    job.fill(rows)
    page = job.get("label-set/images")
    assert (page["total"], page["next_cursor"]) == (1, None)
    [item] = page["items"]
    assert (item["number"], item["key"], item["width"], item["height"]) == (0, row.key, *SIZE_WH)
    assert [one["score"] for one in item["labels"]] == [0.75, None]
    assert item["top1"] == {"index": 0, "wnid": "x0", "name": "class 0", "score": 0.75}
    assert np.allclose([one["xyxy"] for one in item["boxes"]], row.boxes.boxes)
    assert set(item["boxes"][0]) == {"xyxy", "label", "score", "threshold"}
    assert "cams" not in item
    [with_cams] = job.get("label-set/images", cams=True)["items"]
    assert job.get("label-set/images/0") == with_cams
    for told, cam in zip(with_cams["cams"], row.cams, strict=True):
        values = np.frombuffer(base64.b64decode(told["values"]), "<u2").reshape(told["height"], told["width"])
        assert (told["label"], values.tolist()) == (cam.label, cam.values.tolist())
    job.assert_missing("label-set/images/1", "there is no image 1 in the sample")


def test_pages_go_over_all_shards_and_row_groups_once(job: MadeByJob):
    rows = [replace(make_row(), key=f"{index:03d}") for index in range(130)]
    rows[77] = replace(rows[77], cams=make_row(5).cams)
    job.fill(rows, max_rows=70)
    keys: list[str] = []
    query: dict[str, Any] = {"limit": 33}
    while True:
        page = job.get("label-set/images", **query)
        keys += [one["key"] for one in page["items"]]
        assert page["total"] == 130
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert keys == [row.key for row in rows]
    told = job.get("label-set/images/77")
    assert told["key"] == "077"
    assert told["cams"][0]["values"] == base64.b64encode(rows[77].cams[0].values.tobytes()).decode()
    beyond = job.get("label-set/images", cursor="500")
    assert (beyond["items"], beyond["next_cursor"]) == ([], None)


def test_images_of_a_class_those_without_boxes_and_the_worst_first(job: MadeByJob):
    made = job.fill(make_mixed_rows())

    def numbers(**query: Any) -> list[int]:
        page = job.get("label-set/images", **query)
        assert page["total"] == len(page["items"])
        return [one["number"] for one in page["items"]]

    assert numbers(**{"class": 1}) == [1, 3, 5]
    assert numbers(**{"class": 7}) == []
    assert numbers(only="no-box") == [2]
    assert numbers(only="no-box", **{"class": 1}) == []
    worst = job.get("label-set/images", order="worst")["items"]
    assert sorted(one["number"] for one in worst) == list(range(6))
    expected = find_suspicious(made)
    assert {one["key"] for one in worst[: len(expected)]} == {one.key for one in expected}
    assert [one["reasons"] for one in worst[:2]] == [list(one.reasons) for one in expected[:2]]
    assert worst[0]["reasons"][0] == "no box for class 0: flat-map"
    assert all(not one["reasons"] for one in worst[len(expected) :])


@pytest.mark.parametrize("images", ["embed", "reference"])
def test_what_a_job_has_mined_is_shown(client: httpx.Client, place: JobPlace, images: str):
    fields = {"labels": ["tabby"], "short_sides": [64, 128], "engine": "torch", "max_failures": 1}
    job = submit_mine(client, place, f"mined {images}", images=images, **fields)
    for name in ("a.jpg", "b.jpg"):
        job.images.put(name, JPEG)
    job.images.put("c.jpg", b"no image")
    place.run(job.id, run_mine)
    seen = job.get()
    assert (seen["images"], seen["ok"], seen["failed"], seen["recipe"]["name"]) == (3, 2, 1, "aligned*")
    assert [(one["name"], one["images"]) for one in seen["classes"]] == [("tabby", 2)]
    items = job.get("label-set/images", cams=True)["items"]
    assert sorted(one["key"] for one in items) == ["a.jpg", "b.jpg"]
    assert [(one["width"], one["height"], one["exif_orientation"], len(one["cams"])) for one in items] == [
        (100, 200, 6, 4)
    ] * 2
    assert job.draw(side=100).size == (50, 100)
    assert job.ask("label-set/images/1/file").content == JPEG
    [failure] = job.get("failures")["items"]
    assert (failure["number"], failure["key"], failure["error_type"]) == (0, "c.jpg", "not-an-image")
    job.assert_missing("failures/0/file", "cannot be shown")


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"order": "best"}, {"only": "boxes"}, {"class": -1}, {"cursor": "x"}, {"label": 1}],
)
def test_what_cannot_be_asked_is_refused(job: MadeByJob, query: dict[str, Any]):
    assert job.ask("label-set/images", **query).status_code == 422


def test_only_those_who_see_the_job_see_what_it_has_made(tmp_path: Path):
    place = make_job_place(tmp_path)
    ann, ben, root = place.make_key("ann"), place.make_key("ben"), place.make_key("root", "admin")
    with place.serve() as client:
        job = submit_mine(client, place, "of ann", headers=ann)
        job.images.put("bad", JPEG)
        job.fill([make_row()], failures=[Failure("bad", "empty-image", "")])
        base = "label-set"
        for path in (base, f"{base}/images", f"{base}/images/0", f"{base}/images/0/file", "failures/0/file"):
            assert [job.ask(path, headers=who).status_code for who in (ann, root)] == [200, 200]
            assert_problem(job.ask(path, headers=ben), 404, "not-found")
            assert_problem(job.ask(path), 401, "unauthenticated")


def test_a_label_set_that_is_not_there_says_why(job: MadeByJob):
    for path in ("", "/images", "/images/0", "/images/0/file"):
        job.assert_missing(f"label-set{path}", "made no label set yet")
    spec = {"kind": "export", "label_set": str(job.folder / "labels"), "out": str(job.folder / "coco")}
    export = replace(job, id=job.client.post("/v1/jobs", json=spec).json()["id"])
    for path in ("label-set", "failures/0/file"):
        export.assert_missing(path, "a job of kind export makes no label set")


def test_a_partial_set_is_shown_as_such(job: MadeByJob):
    made = job.fill([make_row(index) for index in range(4)], max_rows=2)
    [segment] = made.manifest.segments
    write_manifest(made.store, Manifest(made.manifest.settings, (replace(segment, shards=segment.shards[:1]),)))
    seen = job.get()
    assert (seen["state"], seen["images"], seen["ok"], seen["sample"]) == ("partial", 4, 2, {"images": 2})


def test_an_empty_set_has_numbers(job: MadeByJob):
    job.fill([], failures=[Failure("a", "empty-image", "")])
    seen = job.get()
    assert (seen["ok"], seen["classes"], seen["statistics"]["num_images"]) == (0, [], 0)
    assert job.get("label-set/images") == {"items": [], "next_cursor": None, "total": 0}


@pytest.mark.parametrize(
    ("what", "words"),
    [("cut", "is damaged"), ("garbled", "is damaged"), ("gone", "is gone"), ("manifest", "is damaged")],
)
def test_a_damaged_set_is_a_problem_that_says_so(job: MadeByJob, what: str, words: str):
    made = job.fill([make_row(index) for index in range(3)])
    shard = made.shards[0].data
    data = made.store.get(shard)
    if what == "gone":
        made.store.delete(shard)
    elif what == "manifest":
        made.store.put("manifest.json", b"{")
    elif what == "cut":
        made.store.put(shard, data[: len(data) // 2])
    else:
        made.store.put(shard, data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    for path in ("", "/images", "/images/0", "/images/0/file"):
        job.assert_missing(f"label-set{path}", words)
        job.assert_missing(f"label-set{path}", "dap verify looks closer")


def test_hostile_names_stay_names(job: MadeByJob):
    classes = ClassList.from_pairs([("x0", f"cat {HOSTILE}"), ("x1", "dog")])
    page = f"<script>{HOSTILE}</script>".encode()
    job.fill([replace(make_row(), key=HOSTILE, image=page)], classes=classes)
    answer = job.ask("label-set/images")
    assert "\u202e" not in answer.text
    [item] = answer.json()["items"]
    assert (item["key"], item["labels"][0]["name"]) == (HOSTILE, f"cat {HOSTILE}")
    file = job.ask("label-set/images/0/file")
    assert (file.content, file.headers["content-type"]) == (page, "application/octet-stream")
    assert (file.headers["x-content-type-options"], file.headers["content-disposition"]) == ("nosniff", "attachment")
    job.assert_missing("label-set/images/0/file", "cannot be shown", side=64)


def test_what_a_detector_found_has_no_maps(job: MadeByJob):
    found = replace(make_row(), labels=(), label_scores=(), cams=(), boxes=make_boxes([]), top1_score=0.0)
    made = job.fill([replace(make_row(1), cams=()), found], store_cams=False)
    recipe = PredictionRecipe(short_side=160, mirror=False, batch_size=1, score_threshold=0.05, keep_score=None)
    write_manifest(
        made.store, replace(made.manifest, settings=replace(made.manifest.settings, recipe=recipe, classifier="rcnn"))
    )
    seen = job.get()
    assert (seen["has_cams"], seen["recipe"], seen["classifier"]) == (False, recipe.to_dict(), "rcnn")
    assert job.get("label-set/images/1")["cams"] == []


def test_failures_go_over_all_shards(job: MadeByJob):
    made = job.fill([make_row(index) for index in range(3)], failures=[Failure("a", "e", ""), Failure("b", "e", "")])
    [segment] = made.manifest.segments
    twice = replace(made, manifest=Manifest(made.manifest.settings, (segment, segment)))
    assert [one.key for one in twice.failures()] == ["a", "b", "a", "b"]
    assert [[one.key for one in twice.failures(start)] for start in (1, 2, 3, 4)] == [
        ["b", "a", "b"],
        ["a", "b"],
        ["b"],
        [],
    ]


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


class SilentStore(LocalStore):
    """A folder whose shards cannot be reached."""

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        raise StoreUnavailableError(f"get {key} [{start}, {stop}): no answer")


def test_a_store_that_does_not_answer_is_no_damage(tmp_path: Path):
    make_set(tmp_path / "set", [make_row()])
    with pytest.raises(StoreUnavailableError):
        read_sample(open_label_set(SilentStore(tmp_path / "set")))


def test_a_label_outside_the_classes_is_damage(tmp_path: Path):
    make_set(tmp_path / "set", [replace(make_row(), top1=2)])
    with pytest.raises(LabelSetError, match="has a label outside the 2 classes"):
        read_sample(open_label_set(tmp_path / "set"))
