"""VOC exports, read by torchvision and supervision, in every flavour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from defusedxml.ElementTree import parse
from torchvision.datasets import VOCDetection

from dap_core.datasets.voc import VOC_FLAVORS, VocFlavor, shift_corners
from dap_core.exports import export_voc
from dap_core.exports.file_names import flatten_key
from dap_core.exports.voc import box_to_voc
from dap_core.label_sets import LabelSet
from tests.export_builders import expect_names, make_boxes_row, make_ugly_set, read_names
from tests.label_set_builders import make_label_set


def rows_by_id(label_set: LabelSet, folder: Path) -> dict[str, np.ndarray]:
    """The boxes of a label set by the ids its export gave to images."""
    keys = read_names(folder)
    names = {key: name for name, key in keys.items()}
    return {names.get(row.key, row.key).removesuffix(".jpg"): row.boxes.boxes for row in label_set.rows()}


def test_torchvision_reads_every_image_and_box(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    report = export_voc(label_set, folder)
    data = VOCDetection(str(tmp_path), year="2012", image_set="train")
    expected = rows_by_id(label_set, folder)
    assert len(data) == report.num_images == len(expected)
    assert len((folder / "ImageSets" / "Main" / "trainval.txt").read_text().split()) == len(data)  # ids have no blanks
    for image, target in data:
        annotation = target["annotation"]
        size = {name: int(side) for name, side in annotation["size"].items()}
        assert image.size == (size["width"], size["height"])
        corners = [
            [float(item["bndbox"][name]) for name in ("xmin", "ymin", "xmax", "ymax")]
            for item in annotation.get("object", [])
        ]
        boxes = np.array([shift_corners(tuple(corner), "devkit") for corner in corners]).reshape(-1, 4)
        stem = annotation["filename"].removesuffix(".jpg")
        assert np.abs(boxes - expected[stem]).max(initial=0) <= 0.5
        assert {item["name"] for item in annotation.get("object", [])} <= set(expect_names(label_set))


def test_supervision_reads_the_devkit_flavour(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    export_voc(label_set, tmp_path / "voc")
    data = sv.DetectionDataset.from_pascal_voc(str(tmp_path / "voc/JPEGImages"), str(tmp_path / "voc/Annotations"))
    expected = rows_by_id(label_set, tmp_path / "voc")
    assert len(data) == len(expected)
    for path, _, found in data:
        assert np.abs(found.xyxy - expected[Path(path).stem]).max(initial=0) <= 0.5
    assert set(data.classes) == set(expect_names(label_set))


@pytest.mark.parametrize(
    ("flavor", "expected"),
    [
        ("devkit", (11, 21, 31, 40)),
        ("plus-one", (11, 21, 32, 41)),
        ("zero-based-int", (10, 20, 31, 40)),
        ("zero-based-float", (10.4, 19.6, 30.6, 40.0)),
    ],
)
def test_each_flavour_counts_corners_in_its_way(flavor: VocFlavor, expected: tuple[float, ...]) -> None:
    assert box_to_voc(np.array([10.4, 19.6, 30.6, 40.0], np.float32), (60, 40), flavor) == pytest.approx(expected)


@pytest.mark.parametrize("flavor", VOC_FLAVORS[:3])
@pytest.mark.parametrize(
    "box", [(10.1, 10.2, 10.3, 10.4), (59.7, 39.7, 60, 40), (0, 0, 0.1, 0.1), (9.6, 9.6, 10.4, 10.4)], ids=str
)
def test_a_box_thinner_than_a_pixel_becomes_one_pixel_within_the_image(
    flavor: VocFlavor, box: tuple[float, ...]
) -> None:
    x1, y1, x2, y2 = shift_corners(box_to_voc(np.array(box, np.float32), (60, 40), flavor), flavor)
    assert (x2 - x1, y2 - y1) == (1, 1)
    assert 0 <= x1 < x2 <= 60
    assert 0 <= y1 < y2 <= 40


def test_the_file_says_its_flavour_and_escapes_names(tmp_path: Path) -> None:
    row = make_boxes_row("<&>.png", [(0, 0, 9, 9)])
    label_set = make_label_set(tmp_path / "labels", [row], class_names=['a <b> & "c"'])
    report = export_voc(label_set, tmp_path / "voc")
    root = parse(tmp_path / "voc" / "Annotations" / "<&>.xml").getroot()
    assert root.findtext("source/annotation") == "dap devkit"
    assert (root.findtext("filename"), root.findtext("object/name")) == ("<&>.jpg", 'a <b> & "c"')
    assert report.lost == ("scores and thresholds", "fractions of pixels")


def test_a_long_key_becomes_a_name_that_a_file_system_takes() -> None:
    names = {flatten_key(f"{'long/' * 100}{index}.jpg") for index in range(3)}
    assert len(names) == 3
    assert all(len(name.encode()) < 250 for name in names)
