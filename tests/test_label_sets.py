"""Label sets: what is written is read, the schema is the contract, equal input gives equal rows."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dap_core.errors import LabelSetError
from dap_core.label_sets import open_label_set
from dap_core.stores import LocalStore
from tests.builders import encode_image, make_exif, make_scene
from tests.mining_builders import make_labeler, make_mined_set, mine_folder, write_colour_folder


def test_every_image_is_a_row_with_what_the_labeler_says(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    labeler = make_labeler()
    rows = list(label_set.rows(images=True))
    assert len(rows) == 6
    for row in rows:
        data = (tmp_path / "images" / row.key).read_bytes()
        [expected] = labeler([data], [row.key.split("/")[0]])
        assert row.image == data
        assert row.sha256 == hashlib.sha256(data).hexdigest()
        assert (row.size_wh, row.labels, row.top1) == (expected.size_wh, expected.labels, expected.top1)
        assert np.array_equal(row.boxes.boxes, expected.boxes.boxes)
        assert np.array_equal(row.boxes.scores, expected.boxes.scores)
        assert np.array_equal(row.boxes.thresholds, expected.boxes.thresholds)
        assert len(row.boxes) > 0


def test_maps_come_back_exactly_as_they_were(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path, num_images=2)
    for row in label_set.rows(images=True):
        assert row.image is not None
        [expected] = make_labeler()([row.image], [list(row.labels)])
        for stored, cam in zip(row.cams, expected.cams, strict=True):
            assert np.array_equal(stored.values, cam.values)
            assert [getattr(stored, name) for name in ("lowest", "highest", "origin_xy", "pitch_xy", "valid_hw")] == [
                getattr(cam, name) for name in ("lowest", "highest", "origin_xy", "pitch_xy", "valid_hw")
            ]


def test_shards_have_the_columns_of_the_contract(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    schema = pq.read_schema(tmp_path / "labels" / label_set.shards[0].data)
    described = {field.name: str(field.type) for field in schema}
    assert described["image"] == "struct<bytes: binary, path: string>"
    assert described["boxes"] == "list<element: fixed_size_list<element: float>[4]>".replace(
        "element: float", "element: float"
    )
    assert list(described) == [
        *("key", "image", "width", "height", "labels", "label_scores", "top1", "top1_score"),
        *("boxes", "box_labels", "box_scores", "box_thresholds", "no_box", "cams", "source"),
    ]


def test_a_map_of_one_label_takes_about_two_kilobytes(tmp_path: Path) -> None:
    [row] = make_mined_set(tmp_path, num_images=1).rows()
    cells = sum(cam.values.size for cam in row.cams)
    assert sum(cam.values.nbytes for cam in row.cams) == 2 * cells


def test_two_runs_write_the_same_objects_but_for_how_long_they_took(tmp_path: Path) -> None:
    folder = write_colour_folder(tmp_path / "images")
    names = []
    for run in ("first", "second"):
        mine_folder(make_labeler(), folder, LocalStore(tmp_path / run))
        keys = sorted(info.key for info in LocalStore(tmp_path / run).list_objects())
        names.append([key for key in keys if not key.startswith("manifests/")])
    assert names[0] == names[1]


def test_referenced_images_are_read_from_their_source(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path, embed_images=False)
    row = next(label_set.rows(images=True))
    assert row.image is None
    assert label_set.read_image(row) == (tmp_path / "images" / row.key).read_bytes()


def test_without_stored_maps_rows_have_boxes_only(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path, store_cams=False)
    assert all(row.cams == () and len(row.boxes) for row in label_set.rows())


def test_shards_are_ranks_of_the_hashed_key(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    [plan] = label_set.planned.segments
    keys = [row.key for shard in sorted(plan.shards) for row in plan.shards[shard]]
    assert keys == sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())
    assert [len(rows) for rows in plan.shards.values()] == [2, 2, 2]


def test_bad_images_are_failures_with_a_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = write_colour_folder(tmp_path / "images", 2)
    good = (folder / "x0" / "image 000.png").read_bytes()
    bad = {
        "x0/empty.jpg": (b"", "empty-image"),
        "x0/page.jpg": (b"<html>not found</html>", "not-an-image"),
        "x0/cut.png": (good[: len(good) // 2], "truncated-image"),
        "x0/photo.tiff": (b"II*\x00" + bytes(40), "unsupported-image-format"),
        "x0/tiny.png": (encode_image(make_scene((1, 1), (0, 0, 1, 1))), "image-too-small"),
        "x0/line.png": (encode_image(make_scene((20000, 20), (0, 0, 1, 1))), "aspect-ratio-too-large"),
        "zebra crossing/other.png": (good, "unknown-label"),
        "unlabelled.png": (good, "no-label"),
    }
    for key, (data, _) in bad.items():
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).write_bytes(data)
    (folder / "x0" / "gone.png").symlink_to(folder / "nowhere")
    (folder / "x0" / "turned.jpg").write_bytes(
        encode_image(make_scene((200, 150), (30, 30, 110, 110)), "JPEG", exif=make_exif(6))
    )
    mine_folder(make_labeler(), folder, LocalStore(tmp_path / "labels"), max_rows=4)
    label_set = open_label_set(tmp_path / "labels")
    expected = {key: kind for key, (_, kind) in bad.items()} | {"x0/gone.png": "source-missing"}
    assert {failure.key: failure.error_type for failure in label_set.failures()} == expected
    rows = {row.key: row for row in label_set.rows()}
    assert set(rows) == {"x0/image 000.png", "x1/image 001.png", "x0/turned.jpg"}
    assert (rows["x0/turned.jpg"].size_wh, rows["x0/turned.jpg"].exif_orientation) == ((150, 200), 6)
    counts = label_set.manifest.counts
    assert (counts.num_planned, counts.num_ok, counts.num_failed, counts.num_incomplete) == (12, 3, 9, 0)


def test_an_image_overwritten_after_planning_is_not_labelled_as_the_old_one(tmp_path: Path) -> None:
    from dap_core.label_sets.labeling import ShardLabeler
    from dap_core.label_sets.runner import run_plan, start_label_set
    from tests.mining_builders import plan_folder

    folder = write_colour_folder(tmp_path / "images", 2)
    labeler, store = make_labeler(), LocalStore(tmp_path / "labels")
    plan = start_label_set(store, *plan_folder(labeler, folder))
    os.utime(folder / "x0" / "image 000.png", ns=(1, 1))
    run_plan(store, plan, ShardLabeler(labeler, LocalStore(folder), store, plan.settings))
    [failure] = open_label_set(tmp_path / "labels").failures()
    assert (failure.key, failure.error_type) == ("x0/image 000.png", "source-changed")


def test_a_shard_of_failures_only_is_committed_too(tmp_path: Path) -> None:
    (tmp_path / "images" / "x0").mkdir(parents=True)
    (tmp_path / "images" / "x0" / "empty.jpg").write_bytes(b"")
    manifest = mine_folder(make_labeler(), tmp_path / "images", LocalStore(tmp_path / "labels"))
    assert (manifest.state, manifest.counts.num_ok, manifest.counts.num_failed) == ("complete", 0, 1)
    assert list(open_label_set(tmp_path / "labels").rows()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is no label set"), (b"{", "damaged"), (b'{"format": "dap-label-set", "version": 9}', "version 9")],
)
def test_what_is_no_label_set_is_refused_with_the_reason(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(LabelSetError, match=message):
        open_label_set(tmp_path)
