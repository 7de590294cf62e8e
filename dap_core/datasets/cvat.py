"""CVAT for images 1.1: one XML file of images and the shapes drawn on them."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from dap_core.datasets.annotation_builder import AnnotationsBuilder, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.fields import FieldError, parse_number, parse_size, read_xml
from dap_core.datasets.image_roots import find_image_root
from dap_core.errors import SourceError

_NO_SHAPES = ("tag", "attribute")


def read_cvat(path: Path, *, image_root: Path | None = None) -> Annotations:
    """The boxes of a CVAT file, or of `annotations.xml` in a folder; other shapes are reported and left out.

    An attribute `score`, which our exports write, is the score. Raises SourceError when the file is no CVAT XML or
    not one image can be read.
    """
    file = path / "annotations.xml" if path.is_dir() else path
    try:
        root = read_xml(file)
    except FieldError as error:
        raise SourceError(f"{file} {error}") from error
    if root.tag != "annotations":
        raise SourceError(f"{file} is no CVAT file: expected the element <annotations>, got <{root.tag}>")
    builder = AnnotationsBuilder(path)
    for number, _ in enumerate(root.iterfind("track"), 1):
        builder.report(f"track {number}", "is part of a video; left out")
    keys = []
    for number, image in enumerate(root.iterfind("image"), 1):
        key = image.get("name", "").replace("\\", "/")
        _add_image(image, key, f"image {number} ({key})", builder)
        keys.append(key)
    names = [name.strip() for item in root.iterfind("meta//label/name") if (name := item.text)]
    folder = image_root or find_image_root([file.parent / "images", file.parent], keys)
    return builder.build(names or None, folder)


def _add_image(image: Element, key: str, where: str, builder: AnnotationsBuilder) -> None:
    size_wh = None
    with builder.reporting(where):
        size_wh = parse_size(image.get("width"), image.get("height"))
    boxes = []
    for number, shape in enumerate((item for item in image if item.tag not in _NO_SHAPES), 1):
        place = f"{where} shape {number}"
        with builder.reporting(place):
            boxes.append(_read_box(shape, place))
    builder.add_image(key, size_wh, boxes, where)


def _read_box(shape: Element, where: str) -> DrawnBox:
    if shape.tag != "box":
        raise FieldError(f"is a {shape.tag}, not a box; left out")
    if parse_number(shape.get("rotation", "0"), "rotation") != 0:
        raise FieldError("the box is rotated; left out")
    corners = []
    for name in ("xtl", "ytl", "xbr", "ybr"):
        if shape.get(name) is None:
            raise FieldError(f"{name} is missing")
        corners.append(parse_number(shape.get(name), name))
    x1, y1, x2, y2 = corners
    score = next((item.text for item in shape.iterfind("attribute") if item.get("name") == "score" and item.text), None)
    return DrawnBox(
        where, (x1, y1, x2, y2), shape.get("label", ""), None if score is None else parse_number(score, "score")
    )
