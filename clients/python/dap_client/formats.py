"""Results in the formats of detection data sets: COCO, YOLO, Pascal VOC. The conventions are those of `dap export`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any, Literal, TypeAlias, get_args
from xml.sax.saxutils import escape

from dap_client.results import Box, ImageClass, Result, Xyxy

VocFlavor: TypeAlias = Literal["devkit", "plus-one", "zero-based-int", "zero-based-float"]
_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # what XML cannot hold, and no name needs


def to_coco(results: Iterable[Result]) -> dict[str, Any]:
    """A COCO data set, as `json.dump` takes it: images and annotations numbered from 1, in order.

    A box is `[x, y, width, height]`, corners rounded to 1/100 px, with `score` and `threshold` as extra fields. The id
    of a category is the class index plus 1, so that it is the same in every data set; categories are the labels that
    boxes were looked for. An image without a name is called after its index.

    Raises the error of the first image that has a problem.
    """
    good = [result.raise_for_problem() for result in results]
    classes = {one.index: one for result in good for one in result.image_labels}
    names = Counter(one.name for one in classes.values())
    annotations: list[dict[str, Any]] = []
    for number, result in enumerate(good, 1):
        for box in result.boxes:
            annotations.append(_describe_box(len(annotations) + 1, number, box))
    return {
        "images": [
            {"id": number, "file_name": name_image(result), "width": result.width, "height": result.height}
            for number, result in enumerate(good, 1)
        ],
        "annotations": annotations,
        "categories": [_describe_category(classes[index], names) for index in sorted(classes)],
    }


def to_yolo(result: Result, label_ids: Sequence[int] | None = None) -> str:
    """Lines `class cx cy w h` relative to the image, empty without boxes.

    The class is the class index, or its place in `label_ids`: the classes of a data set in their order, as YOLO
    trainers want them numbered without gaps. Raises ValueError for a box of a label that is not there, and the error of
    an image that has a problem.
    """
    result.raise_for_problem()
    numbers = {label: label for label in result.label_ids}
    if label_ids is not None:
        numbers = {label: number for number, label in enumerate(label_ids)}
    missing = set(result.label_ids) - set(numbers)
    if missing:
        raise ValueError(f"label_ids must hold every label with a box; missing are {sorted(missing)}")
    size_wh = (result.width, result.height)
    lines = [f"{numbers[box.label]} {_write_relative(box.xyxy, size_wh)}\n" for box in result.boxes]
    return "".join(lines)


def to_voc(result: Result, flavor: VocFlavor = "devkit") -> str:
    """A Pascal VOC document (XML) of an image.

    `flavor` says how corners are counted: `devkit` from 1 with both ends in the box, `plus-one` half-open from 1,
    `zero-based-int` and `zero-based-float` half-open from 0. Raises ValueError for another one, and the error of an
    image that has a problem.
    """
    if flavor not in get_args(VocFlavor):
        raise ValueError(f"flavor must be one of {', '.join(get_args(VocFlavor))}, got {flavor!r}")
    result.raise_for_problem()
    objects = "".join(_write_object(result, box, flavor) for box in result.boxes)
    return (
        "<annotation>\n"
        f"  <filename>{_clean(PurePath(name_image(result)).name)}</filename>\n"
        f"  <source><database>pseudo boxes</database><annotation>dap {flavor}</annotation></source>\n"
        f"  <size><width>{result.width}</width><height>{result.height}</height><depth>3</depth></size>\n"
        f"  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


def name_image(result: Result) -> str:
    """What to call an image in a data set: its path as it was given, else by its index."""
    return result.name or f"image-{result.index}"


def _describe_category(one: ImageClass, names: Counter[str]) -> dict[str, Any]:
    """A category; a name that two classes share, as two do in ImageNet, gets the wnid added."""
    name = one.name if names[one.name] == 1 else f"{one.name} ({one.wnid})"
    return {"id": one.index + 1, "name": name, "supercategory": "", "wnid": one.wnid}


def _describe_box(number: int, image_number: int, box: Box) -> dict[str, Any]:
    left, top, right, bottom = (round(side, 2) for side in box.xyxy)
    width, height = round(right - left, 2), round(bottom - top, 2)
    return {
        "id": number,
        "image_id": image_number,
        "category_id": box.label + 1,
        "bbox": [left, top, width, height],
        "area": round(width * height, 4),
        "iscrowd": 0,
        "segmentation": [],
        "score": round(box.score, 6),
        "threshold": round(box.threshold, 6),
    }


def _write_relative(xyxy: Xyxy, size_wh: tuple[int, int]) -> str:
    x1, x2 = (min(max(side / size_wh[0], 0.0), 1.0) for side in (xyxy[0], xyxy[2]))
    y1, y2 = (min(max(side / size_wh[1], 0.0), 1.0) for side in (xyxy[1], xyxy[3]))
    return " ".join(f"{value:.6f}" for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1))


def _write_object(result: Result, box: Box, flavor: VocFlavor) -> str:
    sides = _count_corners(box.xyxy, (result.width, result.height), flavor)
    corners = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    return (
        f"  <object>\n    <name>{_clean(result.class_of(box.label).name)}</name>\n    <pose>Unspecified</pose>\n"
        "    <truncated>0</truncated>\n    <difficult>0</difficult>\n"
        f"    <bndbox>{''.join(f'<{tag}>{side}</{tag}>' for tag, side in corners)}</bndbox>\n  </object>\n"
    )


def _count_corners(xyxy: Xyxy, size_wh: tuple[int, int], flavor: VocFlavor) -> Xyxy:
    """The corners in `flavor`; whole numbers cover at least one pixel and stay within the image."""
    if flavor == "zero-based-float":
        x1, y1, x2, y2 = (round(side, 2) for side in xyxy)
        return x1, y1, x2, y2
    left, right = _round_sides(xyxy[0], xyxy[2], size_wh[0])
    top, bottom = _round_sides(xyxy[1], xyxy[3], size_wh[1])
    start = int(flavor != "zero-based-int")
    stop = int(flavor == "plus-one")
    return left + start, top + start, right + stop, bottom + stop


def _round_sides(start: float, stop: float, limit: int) -> tuple[int, int]:
    first = min(round(start), limit - 1)
    return first, min(max(round(stop), first + 1), limit)


def _clean(text: str) -> str:
    return escape(_UNWRITABLE.sub(" ", text))
