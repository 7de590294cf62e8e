"""YOLO: `data.yaml`, `images/`, and one text file of relative boxes per image in `labels/`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import yaml

from dap_core.exports.destinations import open_destination
from dap_core.exports.export_run import ExportedBox, ExportedImage, ExportRun
from dap_core.exports.file_names import avoid_image_folders
from dap_core.exports.options import ExportOptions, ExportReport
from dap_core.label_sets import LabelSet
from dap_core.types import FloatArray

READ_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""What YOLO tools take for an image, by its name."""


def export_yolo(label_set: LabelSet, destination: Path, options: ExportOptions | None = None) -> ExportReport:
    """Writes `labels/<key>.txt` with lines `class cx cy w h`, empty for an image without a box.

    `labels_conf/` has the same lines with the score at the end, which trainers do not read. `val` of `data.yaml` names
    the same images as `train`: tools ask for both, and pseudo boxes are no truth to hold out.
    Raises as `export_coco` does.
    """
    num_unread = 0
    with open_destination(destination, label_set) as folder:
        run = ExportRun(
            label_set, folder, options or ExportOptions(), classes="used", name_rule=avoid_image_folders, by_stem=True
        )
        _write_config(folder / "data.yaml", run.categories.names)
        for image in run.images(folder / "images"):
            num_unread += PurePosixPath(image.name).suffix.lower() not in READ_SUFFIXES
            _write_labels(folder, image)
    unread = f"{num_unread} images whose names YOLO tools do not take for images" if num_unread else ""
    return run.report("thresholds", unread)


def box_xyxy_to_yolo(box: FloatArray, size_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    """Centre, width and height of a box xyxy, relative to the image and within [0, 1]."""
    x1, x2 = (min(max(float(side) / size_wh[0], 0.0), 1.0) for side in (box[0], box[2]))
    y1, y2 = (min(max(float(side) / size_wh[1], 0.0), 1.0) for side in (box[1], box[3]))
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _write_config(path: Path, names: list[str]) -> None:
    config = {"train": "images", "val": "images", "names": dict(enumerate(names))}
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _write_labels(folder: Path, image: ExportedImage) -> None:
    lines = [_describe_box(box, image.size_wh) for box in image.boxes]
    name = PurePosixPath(image.name).with_suffix(".txt")
    _write_lines(folder / "labels" / name, lines)
    _write_lines(
        folder / "labels_conf" / name,
        (f"{line} {box.score:.6f}" for line, box in zip(lines, image.boxes, strict=True)),
    )


def _describe_box(box: ExportedBox, size_wh: tuple[int, int]) -> str:
    return f"{box.category.number} " + " ".join(f"{value:.6f}" for value in box_xyxy_to_yolo(box.xyxy, size_wh))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
