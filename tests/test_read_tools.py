"""Reading what annotation tools write: Label Studio, FiftyOne, CVAT, and every kind of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dap_core.datasets.cvat import read_cvat
from dap_core.datasets.fiftyone import read_fiftyone
from dap_core.datasets.label_studio import read_label_studio, url_to_key
from dap_core.errors import SourceError
from tests.export_builders import encode_plain


def make_result(**value: Any) -> dict[str, Any]:
    """One rectangle of Label Studio, (10, 20) to (30, 60) on an image of 100 x 80 pixels."""
    value = {"x": 10, "y": 25, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": ["cat"], **value}
    return {"type": "rectanglelabels", "original_width": 100, "original_height": 80, "value": value}


def make_task(*results: object, url: str = "/data/local-files/?d=in/a%20b.jpg", **fields: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": url}, "annotations": [{"result": list(results)}], **fields}


def write_tasks(tmp_path: Path, *tasks: object) -> Path:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    return path


def test_label_studio_rectangles_are_scaled_by_the_size_they_name(tmp_path: Path) -> None:
    annotations = read_label_studio(write_tasks(tmp_path, make_task(make_result(rectanglelabels=["cat", "dog"]))))
    [image] = annotations.images
    assert (image.key, image.size_wh, image.class_names) == ("in/a b.jpg", (100, 80), ("cat", "dog"))
    np.testing.assert_allclose(image.boxes, [(10, 20, 30, 60)] * 2)
    assert (annotations.problems, annotations.class_names, image.scores) == ((), ("cat", "dog"), None)


def test_what_somebody_drew_counts_before_predictions(tmp_path: Path) -> None:
    predictions = [{"result": [{**make_result(rectanglelabels=["dog"]), "score": 0.5}]}]
    drawn = make_task(make_result(), predictions=predictions)
    cancelled = make_task(url="b.jpg", annotations=[{"was_cancelled": True, "result": []}], predictions=predictions)
    nothing = make_task(url="c.jpg", annotations=[], predictions=[])
    annotations = read_label_studio(write_tasks(tmp_path, drawn, cancelled, nothing))
    assert [image.class_names for image in annotations.images] == [("cat",), ("dog",), ()]
    assert [image.scores.tolist() for image in annotations.images if image.scores is not None] == [[1.0], [0.5], []]


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("/data/local-files/?d=in/a%20b%2B%23.jpg", "in/a b+#.jpg"),
        ("/data/upload/3/1a2b-a.jpg", "data/upload/3/1a2b-a.jpg"),
        ("https://host:8080/in/a%20b.jpg?x=1", "in/a b.jpg"),
        ("s3://bucket/in/a.jpg", "in/a.jpg"),
        ("in/100% #1.jpg", "in/100% #1.jpg"),
    ],
)
def test_urls_become_keys(url: str, key: str) -> None:
    assert url_to_key(url) == key


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({**make_result(), "type": "polygonlabels"}, "is 'polygonlabels', not rectanglelabels"),
        (make_result(rotation=15), "is rotated"),
        (make_result(rectanglelabels=[]), "rectanglelabels is empty"),
        (make_result(rectanglelabels=None), "rectanglelabels is missing"),
        (make_result(x="left"), "x must be a number"),
        (make_result(x=float("nan")), "is not finite"),
        (make_result(width=0), "has no area"),
        (make_result(height=-1), "is inverted"),
        (make_result(x=200), "lies outside"),
        ({**make_result(), "original_width": None}, "original_width is missing"),
        ({**make_result(), "value": []}, "value must be an object"),
    ],
    ids=str,
)
def test_a_label_studio_result_that_cannot_be_used_is_reported(
    tmp_path: Path, result: dict[str, Any], message: str
) -> None:
    annotations = read_label_studio(write_tasks(tmp_path, make_task(make_result(), result)))
    assert len(annotations.images[0].boxes) == 1
    [problem] = annotations.problems
    assert problem.where == "task 1 result 2"
    assert message in problem.message


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({}, "data is missing"),
        ({"data": {"text": "hello"}}, "data names no image"),
        ({"data": []}, "data must be an object"),
        (7, "an entry must be an object"),
        (make_task(annotations={}) | {"annotations": "x"}, "annotations must be a list"),
        (make_task(annotations=[7]), "an annotation must be an object"),
        (make_task(7), "a result must be an object"),
    ],
    ids=str,
)
def test_a_label_studio_task_that_cannot_be_used_is_reported(tmp_path: Path, task: object, message: str) -> None:
    annotations = read_label_studio(write_tasks(tmp_path, make_task(url="good.jpg"), task))
    assert [image.key for image in annotations.images] == ["good.jpg"]
    assert [problem.where for problem in annotations.problems] == ["task 2"]
    assert message in annotations.problems[0].message


def test_several_label_studio_annotations_and_equal_images_are_reported(tmp_path: Path) -> None:
    twice = make_task(annotations=[{"result": [make_result()]}, {"result": []}])
    annotations = read_label_studio(write_tasks(tmp_path, twice, make_task()))
    assert [problem.message for problem in annotations.problems] == [
        "2 annotations; the first counts",
        "in/a b.jpg was given before; the first counts",
    ]


def test_files_that_are_no_label_studio_files_are_refused(tmp_path: Path) -> None:
    path = write_tasks(tmp_path, 7)
    with pytest.raises(SourceError, match="no image could be read; task 1"):
        read_label_studio(path)
    for text, message in (("{}", "expected a list of tasks, got dict"), ("", "is empty"), ("[", "is no JSON")):
        path.write_text(text)
        with pytest.raises(SourceError, match=message):
            read_label_studio(path)


def write_fiftyone(root: Path, content: object, *names: str) -> Path:
    """A FiftyOne folder with images of 100 x 80 pixels."""
    (root / "data").mkdir(parents=True)
    for name in names:
        (root / "data" / name).write_bytes(encode_plain((100, 80)))
    (root / "labels.json").write_text(json.dumps(content))
    return root


def make_detection(box: object = (0.1, 0.25, 0.2, 0.5), label: object = 0, **fields: Any) -> dict[str, Any]:
    return {"label": label, "bounding_box": box, **fields}


def test_fiftyone_boxes_are_scaled_by_the_size_of_the_image(tmp_path: Path) -> None:
    labels = {"a": [make_detection(confidence=0.5), make_detection(label="dog")], "b": None, "c": []}
    root = write_fiftyone(tmp_path / "set", {"classes": ["cat"], "labels": labels}, "a.jpg", "b.png", "c.jpg")
    annotations = read_fiftyone(root)
    assert [image.key for image in annotations.images] == ["a.jpg", "b.png", "c.jpg"]
    np.testing.assert_allclose(annotations.images[0].boxes, [(10, 20, 30, 60)] * 2)
    assert annotations.images[0].class_names == ("cat", "dog")
    assert annotations.images[0].scores is not None
    assert annotations.images[0].scores.tolist() == [0.5, 1.0]
    assert (annotations.class_names, annotations.problems) == (("cat",), ())


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (make_detection(label=1), "there is no class 1"),
        (make_detection(label=-1), "there is no class -1"),
        (make_detection(label=None), "label is missing"),
        (make_detection(label=""), "the class has no name"),
        (make_detection(None), "bounding_box is missing"),
        (make_detection([0.1, 0.2]), "bounding_box must be 4 numbers"),
        (make_detection([0.1, 0.2, float("nan"), 0.1]), "is not finite"),
        (make_detection([0.1, 0.2, 0, 0.1]), "has no area"),
        (make_detection([1.1, 0.2, 0.2, 0.1]), "lies outside"),
        (7, "an entry must be an object"),
    ],
    ids=str,
)
def test_a_fiftyone_box_that_cannot_be_used_is_reported(tmp_path: Path, item: object, message: str) -> None:
    content = {"classes": ["cat"], "labels": {"a": [make_detection(), item]}}
    annotations = read_fiftyone(write_fiftyone(tmp_path / "set", content, "a.jpg"))
    assert len(annotations.images[0].boxes) == 1
    [problem] = annotations.problems
    assert problem.where == "a box 2"
    assert message in problem.message


def test_fiftyone_labels_and_images_that_do_not_meet_are_reported(tmp_path: Path) -> None:
    content = {"classes": ["cat"], "labels": {"a": [], "gone": [], "broken": [], "odd": 7}}
    root = write_fiftyone(tmp_path / "set", content, "a.jpg", "a.png", "broken.jpg", "odd.jpg", "other.jpg")
    (root / "data" / "broken.jpg").write_bytes(b"no image")
    annotations = read_fiftyone(root)
    assert [image.key for image in annotations.images] == ["a.jpg"]
    assert {problem.where: problem.message.split(";")[0] for problem in annotations.problems} == {
        "a": "names both a.jpg and a.png",
        "gone": "there is no image of this name in data/",
        "broken": "the image broken.jpg is broken or none",
        "odd": "the labels must be a list, got int",
        "other": "the image is not in the labels",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("[]", "must be an object"), ('{"classes": []}', "labels is missing"), ("{", "is no JSON")],
)
def test_a_file_that_is_no_fiftyone_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_fiftyone(tmp_path)


BOX = '<box label="cat" occluded="0" xtl="10.5" ytl="20" xbr="30" ybr="60.25" z_order="0"/>'


def write_cvat(tmp_path: Path, *shapes: str, image: str = 'id="0" name="in/a.jpg" width="100" height="80"') -> Path:
    meta = "<meta><task><labels><label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>"
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations>{meta}<image {image}>{''.join(shapes)}</image></annotations>")
    return path


def test_cvat_boxes_are_read_with_declared_classes_and_scores(tmp_path: Path) -> None:
    scored = BOX.replace("/>", '><attribute name="score">0.5</attribute></box>')
    annotations = read_cvat(write_cvat(tmp_path, scored, '<tag label="dog"/>'))
    [image] = annotations.images
    assert (image.key, image.size_wh, image.class_names) == ("in/a.jpg", (100, 80), ("cat",))
    np.testing.assert_array_equal(image.boxes, [(10.5, 20, 30, 60.25)])
    assert image.scores is not None
    assert image.scores.tolist() == [0.5]
    assert (annotations.class_names, annotations.problems) == (("dog", "cat"), ())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polygon label="cat" points="1,2;3,4"/>', "is a polygon, not a box"),
        (BOX.replace('z_order="0"', 'rotation="15.0"'), "is rotated"),
        (BOX.replace('xtl="10.5"', ""), "xtl is missing"),
        (BOX.replace("10.5", "left"), "xtl must be a number"),
        (BOX.replace("10.5", "nan"), "is not finite"),
        (BOX.replace("10.5", "30"), "has no area"),
        (BOX.replace("10.5", "31"), "is inverted"),
        (BOX.replace("10.5", "110").replace('xbr="30"', 'xbr="120"'), "lies outside"),
        (BOX.replace("cat", ""), "the class has no name"),
    ],
)
def test_a_cvat_shape_that_cannot_be_used_is_reported(tmp_path: Path, shape: str, message: str) -> None:
    annotations = read_cvat(write_cvat(tmp_path, BOX, shape))
    assert len(annotations.images[0].boxes) == 1
    [problem] = annotations.problems
    assert problem.where == "image 1 (in/a.jpg) shape 2"
    assert message in problem.message


def test_cvat_images_without_name_or_size_and_videos_are_reported(tmp_path: Path) -> None:
    text = (
        '<annotations><image name="a.jpg" width="100" height="80"/><image id="1"/><image name="b.jpg"/>'
        '<image name="a.jpg" width="100" height="80"/><track id="0" label="cat"/></annotations>'
    )
    (tmp_path / "annotations.xml").write_text(text)
    annotations = read_cvat(tmp_path)
    assert [(image.key, image.size_wh) for image in annotations.images] == [("a.jpg", (100, 80)), ("b.jpg", None)]
    messages = " ".join(problem.message for problem in annotations.problems)
    for message in ("is part of a video", "no file name", "width must be a number", "a.jpg was given before"):
        assert message in messages


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<annotations>", "is no XML"),
        (b"<annotation/>", "expected the element <annotations>, got <annotation>"),
        (b"\xff\xfe", "is no XML"),
    ],
)
def test_a_file_that_is_no_cvat_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "annotations.xml").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        read_cvat(tmp_path)
