"""COCO detection data sets: one JSON file of images, categories and annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dap_core.datasets.annotation_builder import AnnotationsBuilder, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.fields import (
    FieldError,
    expect_list,
    expect_mapping,
    get_field,
    get_name,
    parse_flag,
    parse_number,
    parse_numbers,
    parse_size,
    read_json,
)
from dap_core.datasets.image_roots import find_image_root
from dap_core.errors import SourceError


def read_coco(path: Path, *, image_root: Path | None = None) -> Annotations:
    """The annotations of a COCO detection file.

    `iscrowd` boxes are to be ignored; a `score`, which our exports write, is kept. Raises SourceError when the
    file is no JSON, has no list of images, annotations and categories, or not one image of it can be read.
    """
    try:
        content = expect_mapping(read_json(path), "the file")
        lists = [expect_list(get_field(content, name), name) for name in ("categories", "annotations", "images")]
    except ValueError as error:
        raise SourceError(f"{path} is no COCO detection file: {error}") from error
    builder = AnnotationsBuilder(path)
    names = _read_categories(lists[0], builder)
    images = _read_images(lists[2], builder)
    boxes = defaultdict(list)
    for image_id, box in _read_boxes(lists[1], names, images, builder):
        boxes[image_id].append(box)
    for image_id, (where, key, size_wh) in images.items():
        builder.add_image(key, size_wh, boxes[image_id], where)
    root = image_root or find_image_root(_list_roots(path), (key for _, key, _ in images.values()))
    return builder.build(list(names.values()), root)


def _list_roots(path: Path) -> Iterator[Path]:
    """Where images usually lie: beside the file, or as COCO itself has them, in ../<split>."""
    split = path.stem.rpartition("_")[2]
    for base in (path.parent, path.parent.parent):
        yield from (base / "images", base / split, base / "images" / split, base / "data", base)


def _read_categories(items: list[Any], builder: AnnotationsBuilder) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for number, item in enumerate(items, 1):
        where = f"category {number}"
        with builder.reporting(where):
            category, name = _read_id(item, "id"), get_name(item, "name")
            if category in names:
                raise FieldError(f"id {category} was given before; the first counts")
            if name in names.values():
                builder.report(where, f"the name {name!r} was given before; both count as one class")
            names[category] = name
    return names


def _read_images(items: list[Any], builder: AnnotationsBuilder) -> dict[Any, tuple[str, str, tuple[int, int] | None]]:
    images: dict[Any, tuple[str, str, tuple[int, int] | None]] = {}
    for number, item in enumerate(items, 1):
        where = f"image {number}"
        with builder.reporting(where):
            image_id, key = _read_id(item, "id"), get_name(item, "file_name").replace("\\", "/")
            if image_id in images:
                raise FieldError(f"id {image_id} of {key} was given before; the first counts")
            images[image_id] = (f"{where} ({key})", key, _read_size(item, where, builder))
    return images


def _read_size(item: dict[str, Any], where: str, builder: AnnotationsBuilder) -> tuple[int, int] | None:
    if "width" in item or "height" in item:
        with builder.reporting(where):
            return parse_size(get_field(item, "width"), get_field(item, "height"))
    return None


def _read_boxes(
    items: list[Any], names: dict[Any, str], images: dict[Any, Any], builder: AnnotationsBuilder
) -> Iterator[tuple[Any, DrawnBox]]:
    for number, item in enumerate(items, 1):
        where = f"annotation {number}"
        with builder.reporting(where):
            image_id, category = _read_id(item, "image_id"), _read_id(item, "category_id")
            if image_id not in images:
                raise FieldError(f"there is no image {image_id}")
            if category not in names:
                raise FieldError(f"there is no category {category}")
            x, y, width, height = parse_numbers(get_field(item, "bbox"), "bbox", 4)
            score = parse_number(item["score"], "score") if item.get("score") is not None else None
            crowd = False
            with builder.reporting(where):
                crowd = parse_flag(item.get("iscrowd"), "iscrowd")
            yield image_id, DrawnBox(where, (x, y, x + width, y + height), names[category], score, crowd)


def _read_id(item: object, name: str) -> int | str:
    """An id; files in use have numbers and, against the rules, text."""
    value = get_field(item, name)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise FieldError(f"{name} must be a whole number, got {value!r:.40}")
    return value
