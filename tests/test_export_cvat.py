"""CVAT exports, held against the documented XML of CVAT for images 1.1."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import numpy as np
from defusedxml.ElementTree import parse

from dap_core.exports import export_cvat
from tests.export_builders import expect_names, make_boxes_row, make_ugly_set, read_names
from tests.label_set_builders import make_label_set


def test_every_image_and_box_is_in_the_file_with_its_score(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_cvat(label_set, tmp_path / "out")
    root = parse(tmp_path / "out" / "annotations.xml").getroot()
    assert (root.tag, root.findtext("version"), root.findtext("meta/task/mode")) == ("annotations", "1.1", "annotation")
    names = [item.text for item in root.iterfind("meta/task/labels/label/name")]
    assert names == expect_names(label_set)
    keys, rows = read_names(tmp_path / "out"), {row.key: row for row in label_set.rows()}
    images = root.findall("image")
    assert [image.get("id") for image in images] == [str(index) for index in range(len(rows))]
    for image in images:
        row = rows[keys.get(image.get("name"), image.get("name"))]
        assert (image.get("width"), image.get("height")) == tuple(map(str, row.size_wh))
        boxes = [[float(box.get(side)) for side in ("xtl", "ytl", "xbr", "ybr")] for box in image]
        assert np.abs(np.array(boxes).reshape(-1, 4) - row.boxes.boxes).max(initial=0) <= 0.0051
        for box, expected in zip(image, row.boxes, strict=True):
            assert (box.tag, box.get("source"), box.get("occluded")) == ("box", "auto", "0")
            assert box.get("label") == names[expected.label]
            assert float(box.findtext("attribute[@name='score']")) == expected.score


def test_images_are_told_apart_without_their_suffix(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_cvat(label_set, tmp_path / "out")
    names = [image.get("name") for image in parse(tmp_path / "out" / "annotations.xml").getroot().iterfind("image")]
    assert len({PurePosixPath(name).with_suffix("") for name in names}) == len(names)


def test_labels_for_a_new_task_have_the_attributes_of_the_boxes(tmp_path: Path) -> None:
    export_cvat(make_ugly_set(tmp_path / "labels"), tmp_path / "out")
    labels = json.loads((tmp_path / "out" / "labels.json").read_text(encoding="utf-8"))
    for label in labels:
        assert [item["name"] for item in label["attributes"]] == ["score", "threshold"]


def test_characters_that_xml_cannot_hold_are_replaced(tmp_path: Path) -> None:
    row = make_boxes_row("bell \a.png", [(0, 0, 9, 9)])
    label_set = make_label_set(tmp_path / "labels", [row], class_names=["form\ffeed"])
    report = export_cvat(label_set, tmp_path / "out")
    root = parse(tmp_path / "out" / "annotations.xml").getroot()
    assert root.find("image").get("name") == "bell _.png"
    assert root.find("image/box").get("label") == "form feed"
    assert (report.num_renamed, (tmp_path / "out" / "images" / "bell _.png").is_file()) == (1, True)
