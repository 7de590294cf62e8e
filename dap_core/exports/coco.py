"""COCO detection data sets: one annotation file and, when asked for, the images beside it.

Categories are numbered from 1 (0 is the background to many readers) in the order of the class list, all of
them, so that ids stay the same from export to export. A box is `[x, y, width, height]` in pixels of the
upright image, corners rounded to 1/100 px.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

from dap_core.errors import DestinationError
from dap_core.images import decode_image, encode_jpeg
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.stores import LocalStore
from dap_core.types import ClassList, FloatArray

ANNOTATIONS_NAME = "annotations.json"
IMAGES_FOLDER = "images"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote. `num_rotated` counts images with an EXIF orientation other than 1."""

    num_images: int
    num_boxes: int
    num_failures_left_out: int
    num_rotated: int


def export_coco(label_set: LabelSet, destination: Path, *, copy_images: bool = True) -> ExportReport:
    """Writes a label set as a COCO data set into an empty or new folder and says what it holds.

    With `copy_images` the images go to `images/<key>`: byte for byte, except that one with an EXIF
    orientation is turned upright and encoded anew, because readers disagree on the tag. Without, file names
    are keys relative to the source root of the label set.

    `score` and `threshold` of each box are kept as extra fields. Raises DestinationError when the folder is
    not empty, StoreError when a referenced image is gone.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DestinationError(f"{destination} is not an empty folder; give another one")
    destination.mkdir(parents=True, exist_ok=True)
    num_rotated = _copy_images(label_set, destination) if copy_images else _count_rotated(label_set)
    report = ExportReport(0, 0, label_set.manifest.counts.num_failed, num_rotated)
    unfinished = destination / f".tmp-{ANNOTATIONS_NAME}"
    with unfinished.open("w", encoding="utf-8") as file:
        report = _write_annotations(label_set, file, report)
    unfinished.replace(destination / ANNOTATIONS_NAME)
    return report


def name_categories(classes: ClassList) -> list[dict[str, Any]]:
    """The COCO categories of a class list; a name that several classes share gets its wnid added."""
    times = Counter(item.name for item in classes.classes)
    return [
        {
            "id": index,
            "name": item.name if times[item.name] == 1 else f"{item.name} ({item.wnid})",
            "supercategory": "",
            "wnid": item.wnid,
        }
        for index, item in enumerate(classes.classes, 1)
    ]


def box_xyxy_to_coco(box: FloatArray) -> list[float]:
    """`[x, y, width, height]` of a box xyxy, its corners rounded to 1/100 px."""
    left, top, right, bottom = (round(float(side), 2) for side in box)
    return [left, top, round(right - left, 2), round(bottom - top, 2)]


def _write_annotations(label_set: LabelSet, file: TextIO, report: ExportReport) -> ExportReport:
    """Streams the file, one image and one box at a time, so that its size does not matter."""
    settings = label_set.manifest.settings
    info = {
        "description": "pseudo boxes mined from image-level labels",
        "label_set": label_set.sha256,
        "recipe": settings.recipe.to_dict(),
        "classifier": settings.classifier,
        "weights_sha256": settings.weights_sha256,
    }
    file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n')
    file.write(f'"categories": {json.dumps(name_categories(label_set.classes))},\n"images": [')
    num_images = _write_list(file, map(_describe_image, *_enumerate_rows(label_set)))
    file.write('],\n"annotations": [')
    num_boxes = _write_list(file, _describe_boxes(label_set))
    file.write("]}\n")
    return replace(report, num_images=num_images, num_boxes=num_boxes)


def _write_list(file: TextIO, items: Iterator[dict[str, Any]]) -> int:
    count = 0
    for item in items:
        file.write(("," if count else "") + "\n" + json.dumps(item))
        count += 1
    return count


def _enumerate_rows(label_set: LabelSet) -> tuple[range, Iterator[LabelSetRow]]:
    return range(1, label_set.manifest.counts.num_ok + 1), label_set.rows(cams=False)


def _describe_image(image_id: int, row: LabelSetRow) -> dict[str, Any]:
    return {"id": image_id, "file_name": row.key, "width": row.size_wh[0], "height": row.size_wh[1]}


def _describe_boxes(label_set: LabelSet) -> Iterator[dict[str, Any]]:
    annotation_id = 0
    for image_id, row in zip(*_enumerate_rows(label_set), strict=True):
        for box in row.boxes:
            annotation_id += 1
            bbox = box_xyxy_to_coco(box.xyxy)
            yield {
                "id": annotation_id,
                "image_id": image_id,
                "category_id": box.label + 1,
                "bbox": bbox,
                "area": round(bbox[2] * bbox[3], 4),
                "iscrowd": 0,
                "segmentation": [],
                "score": round(box.score, 6),
                "threshold": round(box.threshold, 6),
            }


def _count_rotated(label_set: LabelSet) -> int:
    return sum(row.exif_orientation != 1 for row in label_set.rows(cams=False))


def _copy_images(label_set: LabelSet, destination: Path) -> int:
    """Copies all images, upright; returns how many had to be turned."""
    store = LocalStore(destination / IMAGES_FOLDER)
    num_rotated = 0
    for row in label_set.rows(images=True, cams=False):
        data = label_set.read_image(row)
        if row.exif_orientation != 1:
            data = _encode_upright(data)
            num_rotated += 1
        store.put(row.key, data)
    return num_rotated


def _encode_upright(data: bytes) -> bytes:
    """The image turned upright, as JPEG for a JPEG and else as PNG whatever its name; no metadata."""
    pixels = decode_image(data).pixels
    if data.startswith(b"\xff\xd8"):
        return encode_jpeg(pixels, quality=95)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()
