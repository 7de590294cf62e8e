"""COCO detection data sets: one annotation file and, when asked for, the images beside it.

Categories are numbered from 1 (0 is the background to many readers) in the order of the class list, all of
them unless told otherwise, so that ids stay the same from export to export. A box is `[x, y, width, height]` in
pixels of the upright image, corners rounded to 1/100 px.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, TextIO

from dap_core.exports.categories import Category
from dap_core.exports.destinations import open_destination
from dap_core.exports.export_run import ExportedBox, ExportedImage, ExportRun
from dap_core.exports.json_lists import JsonItems
from dap_core.exports.options import ExportOptions, ExportReport
from dap_core.label_sets import LabelSet
from dap_core.types import FloatArray

ANNOTATIONS_NAME = "annotations.json"
IMAGES_FOLDER = "images"


def export_coco(label_set: LabelSet, destination: Path, options: ExportOptions | None = None) -> ExportReport:
    """Writes a label set as a COCO data set into an empty or new folder and says what it holds.

    Images go to `images/<key>`: byte for byte, except that one with an EXIF orientation is turned upright and
    encoded anew, because readers disagree on the tag. Without images, file names are keys relative to the source root.

    `score` and `threshold` of each box are kept as extra fields. Raises DestinationError when the folder is
    not empty, StoreError when a referenced image is gone.
    """
    with (
        open_destination(destination, label_set) as folder,
        (folder / ANNOTATIONS_NAME).open("w", encoding="utf-8") as file,
        tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder) as boxes_file,
    ):
        run = ExportRun(label_set, folder, options or ExportOptions(), classes="all")
        _write_head(run, file)
        images, boxes = JsonItems(file), JsonItems(boxes_file)
        num_boxes = 0
        for image in run.images(folder / IMAGES_FOLDER):
            images.add(_describe_image(image))
            for box in image.boxes:
                num_boxes += 1
                boxes.add(_describe_box(num_boxes, image.number, box))
        file.write('],\n"annotations": [')
        boxes_file.seek(0)
        shutil.copyfileobj(boxes_file, file)
        file.write("]}\n")
    return run.report()


def box_xyxy_to_coco(box: FloatArray) -> list[float]:
    """`[x, y, width, height]` of a box xyxy, its corners rounded to 1/100 px."""
    left, top, right, bottom = (round(float(side), 2) for side in box)
    return [left, top, round(right - left, 2), round(bottom - top, 2)]


def describe_origin(label_set: LabelSet) -> dict[str, Any]:
    """What the boxes were made with, as plain JSON values."""
    settings = label_set.manifest.settings
    return {
        "description": "pseudo boxes mined from image-level labels",
        "label_set": label_set.sha256,
        "recipe": settings.recipe.to_dict(),
        "classifier": settings.classifier,
        "weights_sha256": settings.weights_sha256,
    }


def _write_head(run: ExportRun, file: TextIO) -> None:
    file.write(f'{{"info": {json.dumps(describe_origin(run.label_set))},\n"licenses": [],\n')
    categories = [_describe_category(item) for item in run.categories.items]
    file.write(f'"categories": {json.dumps(categories)},\n"images": [')


def _describe_category(category: Category) -> dict[str, Any]:
    return {"id": category.number + 1, "name": category.name, "supercategory": "", "wnid": category.wnid}


def _describe_image(image: ExportedImage) -> dict[str, Any]:
    return {"id": image.number, "file_name": image.name, "width": image.size_wh[0], "height": image.size_wh[1]}


def _describe_box(number: int, image_number: int, box: ExportedBox) -> dict[str, Any]:
    bbox = box_xyxy_to_coco(box.xyxy)
    return {
        "id": number,
        "image_id": image_number,
        "category_id": box.category.number + 1,
        "bbox": bbox,
        "area": round(bbox[2] * bbox[3], 4),
        "iscrowd": 0,
        "segmentation": [],
        "score": round(box.score, 6),
        "threshold": round(box.threshold, 6),
    }
