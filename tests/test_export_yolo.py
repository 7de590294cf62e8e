"""YOLO exports, read by supervision and checked by the rules that Ultralytics documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import supervision as sv
import yaml

from dap_core.exports import ExportOptions, export_yolo
from dap_core.exports.yolo import READ_SUFFIXES, box_xyxy_to_yolo
from tests.export_builders import expect_names, make_boxes_row, make_ugly_set, read_names
from tests.label_set_builders import make_label_set


def check_yolo_folder(folder: Path) -> dict[str, list[list[float]]]:
    """The lines of each image, after the checks a trainer makes before it starts."""
    config = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    assert "path" not in config  # so that the folder of the file counts, wherever it was moved
    assert list(config["names"]) == list(range(len(config["names"])))
    lines: dict[str, list[list[float]]] = {}
    for split in ("train", "val"):
        place = folder / config[split]
        for image in (file for file in place.rglob("*.*") if file.suffix.lower() in READ_SUFFIXES):
            before, after = str(image).rsplit("/images/", 1)
            label = Path(f"{before}/labels/{after}").with_suffix(".txt")
            assert label.is_file(), f"{image} has no label file"
            values = [[float(cell) for cell in line.split()] for line in label.read_text().splitlines()]
            for index, *box in values:
                assert index in config["names"]
                assert len(box) == 4
                assert 0 <= min(box) <= max(box) <= 1
            lines[image.relative_to(place).as_posix()] = values
    return lines


def test_the_folder_passes_a_trainers_checks(tmp_path: Path) -> None:
    label_set = make_ugly_set(tmp_path / "labels")
    report = export_yolo(label_set, tmp_path / "yolo")
    lines = check_yolo_folder(tmp_path / "yolo")
    keys = read_names(tmp_path / "yolo")
    assert {keys.get(name, name) for name in lines} == {row.key for row in label_set.rows()}
    assert sum(map(len, lines.values())) == report.num_boxes
    assert lines["n01/nothing.jpg"] == []
    assert report.num_renamed == len(keys) == 4


def test_supervision_reads_every_image_and_box(tmp_path: Path) -> None:
    rows = [
        make_boxes_row("one two.png", [(1.5, 2.25, 30.125, 39), (0, 0, 60, 40)], labels=[1, 0]),
        make_boxes_row("#1 50%.png"),
    ]
    label_set = make_label_set(tmp_path / "labels", rows, class_names=["red", "blue"])
    folder = tmp_path / "yolo"
    export_yolo(label_set, folder)
    data = sv.DetectionDataset.from_yolo(str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"))
    found = {Path(path).name: detections for path, _, detections in data}
    assert data.classes == expect_names(label_set)
    assert np.abs(found["one two.png"].xyxy - rows[0].boxes.boxes).max() <= 0.001
    assert found["one two.png"].class_id.tolist() == [1, 0]
    assert len(found["#1 50%.png"]) == 0


def test_scores_are_a_sixth_column_in_a_folder_of_their_own(tmp_path: Path) -> None:
    row = make_boxes_row("a/b.png", [(0, 0, 30, 20)], scores=[0.125])
    export_yolo(make_label_set(tmp_path / "labels", [row]), tmp_path / "yolo")
    assert (tmp_path / "yolo/labels/a/b.txt").read_text() == "0 0.250000 0.250000 0.500000 0.500000\n"
    assert (tmp_path / "yolo/labels_conf/a/b.txt").read_text() == "0 0.250000 0.250000 0.500000 0.500000 0.125000\n"


def test_used_classes_are_numbered_from_zero_and_all_can_be_asked_for(tmp_path: Path) -> None:
    row = make_boxes_row("a.png", [(0, 0, 30, 20), (0, 0, 9, 9)], labels=[2, 1], scores=[0.9, 0.1])
    label_set = make_label_set(tmp_path / "labels", [row], class_names=["red", "green", "no"])
    for name, options, names, numbers in (
        ("used", ExportOptions(), {0: "green", 1: "no"}, ["1", "0"]),
        ("all", ExportOptions(classes="all"), {0: "red", 1: "green", 2: "no"}, ["2", "1"]),
        ("sure", ExportOptions(min_score=0.5), {0: "no"}, ["0"]),
    ):
        export_yolo(label_set, tmp_path / name, options)
        assert yaml.safe_load((tmp_path / name / "data.yaml").read_text())["names"] == names
        lines = (tmp_path / name / "labels" / "a.txt").read_text().splitlines()
        assert [line.split()[0] for line in lines] == numbers


def test_a_box_that_rounding_put_outside_is_kept_within(tmp_path: Path) -> None:
    values = box_xyxy_to_yolo(np.array([-1e-3, 0, 60.001, 40], np.float32), (60, 40))
    assert values == pytest.approx((0.5, 0.5, 1, 1))


def test_images_that_yolo_tools_do_not_see_are_reported(tmp_path: Path) -> None:
    label_set = make_label_set(tmp_path / "labels", [make_boxes_row("a.gif"), make_boxes_row("b.jpg")])
    assert export_yolo(label_set, tmp_path / "yolo").lost == (
        "thresholds",
        "1 images whose names YOLO tools do not take for images",
    )
