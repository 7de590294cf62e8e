"""COCO exports, read back by pycocotools and torchvision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from torchvision.datasets import CocoDetection

from dap_core.errors import DestinationError
from dap_core.exports import ExportOptions, export_coco
from dap_core.exports.categories import name_classes
from dap_core.exports.coco import box_xyxy_to_coco
from dap_core.exports.options import ImageHandling
from dap_core.label_sets import LabelSet, open_label_set
from dap_core.stores import LocalStore
from dap_core.types import ClassList
from tests.builders import encode_image, make_exif, make_scene
from tests.mining_builders import make_labeler, make_mined_set, mine_folder


def read_boxes(annotations: list[dict[str, list[float]]]) -> np.ndarray:
    """Corners of COCO boxes."""
    boxes = np.array([item["bbox"] for item in annotations], np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def test_pycocotools_reads_the_same_boxes_to_a_hundredth_of_a_pixel(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    report = export_coco(label_set, tmp_path / "coco")
    coco = COCO(str(tmp_path / "coco" / "annotations.json"))
    rows = {row.key: row for row in label_set.rows()}
    assert len(coco.getImgIds()) == report.num_images == len(rows)
    assert len(coco.getAnnIds()) == report.num_boxes == label_set.manifest.counts.num_boxes
    for image in coco.loadImgs(coco.getImgIds()):
        row = rows[image["file_name"]]
        assert (image["width"], image["height"]) == row.size_wh
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        assert np.abs(read_boxes(annotations) - row.boxes.boxes).max() <= 0.00501
        assert [item["category_id"] - 1 for item in annotations] == row.boxes.labels.tolist()
        assert [item["score"] for item in annotations] == pytest.approx(row.boxes.scores.tolist(), abs=1e-6)


def test_torchvision_reads_images_and_boxes(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    export_coco(label_set, tmp_path / "coco")
    data = CocoDetection(str(tmp_path / "coco" / "images"), str(tmp_path / "coco" / "annotations.json"))
    sizes = {row.key: row.size_wh for row in label_set.rows()}
    assert len(data) == len(sizes)
    for index in range(len(data)):
        image, target = data[index]
        assert image.size == sizes[data.coco.loadImgs(data.ids[index])[0]["file_name"]]
        boxes = read_boxes(target)
        assert (boxes >= 0).all()
        assert (boxes[:, 2:] <= np.array(image.size) + 1e-9).all()


def export_turned_image(tmp_path: Path, images: ImageHandling) -> tuple[LabelSet, Path]:
    """A set of one JPEG that EXIF turns by 90 degrees, and its export."""
    (tmp_path / "images" / "x0").mkdir(parents=True)
    scene = make_scene((200, 120), (20, 30, 100, 90))
    (tmp_path / "images" / "x0" / "turned.jpg").write_bytes(encode_image(scene, "JPEG", exif=make_exif(6)))
    mine_folder(make_labeler(), tmp_path / "images", LocalStore(tmp_path / "labels"))
    label_set = open_label_set(tmp_path / "labels")
    report = export_coco(label_set, tmp_path / "coco", ExportOptions(images=images))
    assert report.num_rotated == 1
    return label_set, tmp_path / "coco"


def test_a_copied_image_is_turned_upright_and_loses_its_tag(tmp_path: Path) -> None:
    _, exported = export_turned_image(tmp_path, "copy")
    data = CocoDetection(str(exported / "images"), str(exported / "annotations.json"))
    image, target = data[0]
    assert image.size == (120, 200)
    assert dict(image.getexif()) == {}
    box = read_boxes(target)[0]
    inside = np.asarray(image)[round(box[1]) : round(box[3]), round(box[0]) : round(box[2]), 0]
    assert inside.mean() > 2 * np.asarray(image)[..., 0].mean()


def test_without_images_file_names_are_keys_of_the_source(tmp_path: Path) -> None:
    label_set, exported = export_turned_image(tmp_path, "none")
    assert [path.name for path in exported.iterdir()] == ["annotations.json"]
    [image] = json.loads((exported / "annotations.json").read_text())["images"]
    assert (Path(label_set.manifest.settings.source) / image["file_name"]).is_file()


def test_a_set_without_any_box_is_a_valid_data_set(tmp_path: Path) -> None:
    (tmp_path / "images" / "x0").mkdir(parents=True)
    black = make_scene((100, 100), (0, 0, 0, 0))
    (tmp_path / "images" / "x0" / "black.png").write_bytes(encode_image(black))
    mine_folder(make_labeler(), tmp_path / "images", LocalStore(tmp_path / "labels"))
    label_set = open_label_set(tmp_path / "labels")
    assert next(label_set.rows()).no_box_reasons == ((0, "flat-map"),)
    export_coco(label_set, tmp_path / "coco")
    coco = COCO(str(tmp_path / "coco" / "annotations.json"))
    assert (len(coco.getImgIds()), len(coco.getAnnIds())) == (1, 0)


def test_category_names_are_unique() -> None:
    classes = ClassList.from_pairs([("n1", "crane"), ("n2", "cat"), ("n3", "crane")])
    assert name_classes(classes) == ["crane (n1)", "cat", "crane (n3)"]


def test_a_name_made_unique_never_becomes_that_of_another_class() -> None:
    classes = ClassList.from_pairs([("n1", "crane"), ("n2", "crane (n1)"), ("n3", "crane"), ("n4", " \n")])
    assert name_classes(classes) == ["crane (n1) [0]", "crane (n1) [1]", "crane (n3)", "n4"]


def test_all_classes_are_declared_unless_only_the_used_are_wanted(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path, num_images=1)
    export_coco(label_set, tmp_path / "all")
    export_coco(label_set, tmp_path / "used", ExportOptions(classes="used"))
    names = {
        name: [(item["id"], item["name"]) for item in COCO(str(tmp_path / name / "annotations.json")).cats.values()]
        for name in ("all", "used")
    }
    assert names == {"all": [(1, "red"), (2, "blue")], "used": [(1, "red")]}


def test_corners_are_rounded_not_sizes() -> None:
    assert box_xyxy_to_coco(np.array([0.006, 0.004, 1.006, 1.004], np.float32)) == [0.01, 0.0, 1.0, 1.0]


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path, num_images=1)
    with pytest.raises(DestinationError, match="not an empty folder"):
        export_coco(label_set, tmp_path / "images")
