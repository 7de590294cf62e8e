"""Reading COCO files: what is kept, and every kind of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dap_core.datasets.coco import read_coco
from dap_core.errors import SourceError


def make_content(*annotations: dict[str, Any], **lists: Any) -> dict[str, Any]:
    """A COCO file of one image of 100 x 80 pixels and two categories."""
    return {
        "images": [{"id": 7, "file_name": "in/a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": list(annotations),
        **lists,
    }


def make_box(bbox: object = (10, 20, 30, 40), **fields: Any) -> dict[str, Any]:
    """One annotation; a field given as None is left out."""
    entry = {"id": 1, "image_id": 7, "category_id": 18, "bbox": list(bbox) if isinstance(bbox, tuple) else bbox}
    return {name: value for name, value in {**entry, **fields}.items() if value is not None}


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "instances_val2017.json"
    path.write_text(json.dumps(content))
    return path


def test_boxes_names_crowds_and_scores_are_read(tmp_path: Path) -> None:
    content = make_content(make_box(), make_box((0, 0, 1.5, 2), category_id=3, iscrowd=1, score=0.25))
    annotations = read_coco(write(tmp_path, content))
    [image] = annotations.images
    assert (image.key, image.size_wh, image.class_names) == ("in/a.jpg", (100, 80), ("dog", "cat"))
    np.testing.assert_array_equal(image.boxes, [(10, 20, 40, 60), (0, 0, 1.5, 2)])
    assert image.ignored.tolist() == [False, True]
    assert image.scores is not None
    assert image.scores.tolist() == [1.0, 0.25]
    assert (annotations.class_names, annotations.problems) == (("dog", "cat"), ())


def test_images_without_boxes_are_kept_and_truth_has_no_scores(tmp_path: Path) -> None:
    [image] = read_coco(write(tmp_path, make_content())).images
    assert (image.boxes.shape, image.scores) == ((0, 4), None)


@pytest.mark.parametrize("layout", ["images/in/a.jpg", "in/a.jpg", "../val2017/in/a.jpg", "../images/in/a.jpg"])
def test_images_are_found_beside_the_file_or_as_coco_has_them(tmp_path: Path, layout: str) -> None:
    (tmp_path / "annotations").mkdir()
    path = write(tmp_path / "annotations", make_content())
    image = tmp_path / "annotations" / layout
    image.parent.mkdir(parents=True)
    image.write_bytes(b"")
    annotations = read_coco(path)
    assert annotations.image_root is not None
    assert (annotations.image_root / "in/a.jpg").samefile(image)


def test_a_crowd_flag_may_be_text_and_an_odd_one_is_reported(tmp_path: Path) -> None:
    boxes = [make_box(iscrowd=flag) for flag in ("0", "1", True, 7)]
    annotations = read_coco(write(tmp_path, make_content(*boxes)))
    assert annotations.images[0].ignored.tolist() == [False, True, True, False]
    assert [problem.where for problem in annotations.problems] == ["annotation 4"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (make_box(image_id=8), "there is no image 8"),
        (make_box(category_id=99), "there is no category 99"),
        (make_box(image_id=None), "image_id is missing"),
        (make_box(category_id=None), "category_id is missing"),
        (make_box(category_id=[1]), "category_id must be a whole number"),
        (make_box(None), "bbox is missing"),
        (make_box((1, 2, 3)), "bbox must be 4 numbers"),
        (make_box("1234"), "bbox must be 4 numbers"),
        (make_box((1, 2, "wide", 4)), "bbox must be a number, got 'wide'"),
        (make_box((1, 2, True, 4)), "bbox must be a number, got bool"),
        (make_box((1, 2, float("nan"), 4)), "is not finite"),
        (make_box((1, 2, float("inf"), 4)), "is not finite"),
        (make_box((1, 2, 0, 4)), "has no area"),
        (make_box((10, 10, -5, 4)), "is inverted"),
        (make_box((200, 10, 5, 4)), "lies outside the image"),
        (make_box(score="sure"), "score must be a number"),
        (make_box(score=float("nan")), "the score is nan"),
        (make_box((1, 1, 10**400, 5)), "bbox must be a number"),
        ("not a box", "an entry must be an object, got str"),
    ],
    ids=str,
)
def test_an_annotation_that_cannot_be_used_is_reported_and_the_rest_is_read(
    tmp_path: Path, entry: Any, message: str
) -> None:
    annotations = read_coco(write(tmp_path, make_content(entry, make_box())))
    assert len(annotations.images[0].boxes) == 1
    [problem] = annotations.problems
    assert problem.where == "annotation 1"
    assert message in problem.message


def test_a_box_that_sticks_out_is_clipped_and_reported_unless_it_is_rounding(tmp_path: Path) -> None:
    annotations = read_coco(write(tmp_path, make_content(make_box((-5, 0, 50, 90)), make_box((0, 0, 100.04, 80)))))
    np.testing.assert_array_equal(annotations.images[0].boxes, [(0, 0, 45, 80), (0, 0, 100, 80)])
    assert [problem.where for problem in annotations.problems] == ["annotation 1"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}]}, "id 7 of b.jpg was given"),
        ({"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "a.jpg"}]}, "a.jpg was given before"),
        ({"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8}]}, "file_name is missing"),
        ({"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": ""}]}, "no file name"),
        ({"images": [{"id": 7, "file_name": "a.jpg", "width": 0, "height": 9}]}, "the image size must be whole"),
        ({"categories": [{"id": 18, "name": "dog"}, {"id": 18, "name": "cat"}]}, "id 18 was given before"),
        ({"categories": [{"id": 18, "name": "dog"}, {"id": 19, "name": "dog"}]}, "the name 'dog' was given before"),
        ({"categories": [{"id": 18, "name": "dog"}, {"name": "cat"}]}, "id is missing"),
    ],
    ids=["image id", "file name", "no file name", "empty name", "size", "category id", "category name", "no id"],
)
def test_what_is_wrong_with_images_and_categories_is_reported(
    tmp_path: Path, lists: dict[str, Any], message: str
) -> None:
    annotations = read_coco(write(tmp_path, make_content(make_box(), **lists)))
    assert (annotations.images[0].class_names, len(annotations.problems)) == (("dog",), 1)
    assert message in annotations.problems[0].message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b'{"images": [', "is no JSON"),
        ('{"images": "é"}'.encode("utf-16"), "is not UTF-8"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "the file must be an object, got list"),
        (b'{"images": []}', "categories is missing"),
        (b'{"images": [], "annotations": {}, "categories": []}', "annotations must be a list"),
        (b'{"images": [{}], "annotations": [], "categories": []}', "no image could be read; image 1"),
    ],
    ids=["empty", "cut off", "wrong encoding", "too deep", "a list", "no categories", "no list", "no image"],
)
def test_a_file_that_is_no_coco_file_is_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message) as caught:
        read_coco(path)
    assert "\n" not in str(caught.value)


def test_a_valid_file_of_nothing_is_an_empty_data_set(tmp_path: Path) -> None:
    assert read_coco(write(tmp_path, make_content(images=[]))).images == ()
