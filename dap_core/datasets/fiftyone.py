"""FiftyOne: a folder `data/` of images and `labels.json` of relative boxes, the FiftyOneImageDetectionDataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dap_core.datasets.annotation_builder import AnnotationsBuilder, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.exported_names import OriginalImages
from dap_core.datasets.fields import (
    FieldError,
    expect_list,
    expect_mapping,
    get_field,
    parse_number,
    parse_numbers,
    read_json,
)
from dap_core.datasets.image_roots import read_upright_size
from dap_core.datasets.source import is_image_name
from dap_core.errors import SourceError


def read_fiftyone(path: Path, *, image_root: Path | None = None) -> Annotations:
    """The annotations of a FiftyOneImageDetectionDataset folder, or of its `labels.json`.

    Boxes are relative, so the size of each image is read from its header. Images lie in `data/`; where there is none,
    those that the labels were exported from are looked for in `image_root`, and keys are relative to that.

    Raises SourceError when the file is no such JSON or not one image can be read.
    """
    file = path / "labels.json" if path.is_dir() else path
    try:
        content = expect_mapping(read_json(file), "the file")
        names = [str(name) for name in expect_list(content.get("classes") or [], "classes")]
        labels = expect_mapping(get_field(content, "labels"), "labels")
    except ValueError as error:
        raise SourceError(f"{file} is no FiftyOne detection file: {error}") from error
    builder = AnnotationsBuilder(path)
    root = file.parent / "data"
    if image_root is not None and not root.is_dir():
        root = image_root
        found = _find_originals(labels, OriginalImages(root, builder.names), builder)
    else:
        found = _find_images(labels, root, builder)
    for stem, key, original_key in found:
        with builder.reporting(stem):
            size_wh = read_upright_size(root / key)
            boxes = _read_boxes(labels[stem], stem, size_wh, names, builder)
            builder.add_image(key, size_wh, boxes, stem, original_key)
    return builder.build(names or None, root if root.is_dir() else None)


def _find_originals(
    labels: dict[str, Any], originals: OriginalImages, builder: AnnotationsBuilder
) -> Iterator[tuple[str, str, str | None]]:
    """Name in the labels, key and original key of each image, of those that were exported."""
    for stem in labels:
        with builder.reporting(stem):
            key = originals.find_key(stem)
            yield stem, key, key


def _find_images(
    labels: dict[str, Any], root: Path, builder: AnnotationsBuilder
) -> Iterator[tuple[str, str, str | None]]:
    """The same of the images beside the labels, whose original keys are still to be found."""
    images = _list_images(root, builder)
    for stem in labels:
        if stem in images:
            yield stem, images[stem].relative_to(root).as_posix(), None
        else:
            builder.report(stem, f"there is no image of this name in {root.name}/")
    for stem in images.keys() - labels.keys():
        builder.report(stem, "the image is not in the labels; left out")


def _list_images(root: Path, builder: AnnotationsBuilder) -> dict[str, Path]:
    """Images by the name that labels use: the path without its suffix."""
    images: dict[str, Path] = {}
    for file in sorted(root.rglob("*")):
        stem = file.relative_to(root).with_suffix("").as_posix()
        if not is_image_name(file.name) or not file.is_file():
            continue
        if stem in images:
            builder.report(stem, f"names both {images[stem].name} and {file.name}; the first counts")
        images.setdefault(stem, file)
    return images


def _read_boxes(
    items: object, stem: str, size_wh: tuple[int, int], names: list[str], builder: AnnotationsBuilder
) -> list[DrawnBox]:
    boxes = []
    for number, item in enumerate(expect_list(items or [], "the labels"), 1):
        where = f"{stem} box {number}"
        with builder.reporting(where):
            boxes.append(_read_box(item, where, size_wh, names))
    return boxes


def _read_box(item: Any, where: str, size_wh: tuple[int, int], names: list[str]) -> DrawnBox:
    x, y, width, height = parse_numbers(get_field(item, "bounding_box"), "bounding_box", 4)
    label = get_field(item, "label")
    if isinstance(label, int):
        if not 0 <= label < len(names):
            raise FieldError(f"there is no class {label}")
        label = names[label]
    score = parse_number(item["confidence"], "confidence") if item.get("confidence") is not None else None
    corners = (x * size_wh[0], y * size_wh[1], (x + width) * size_wh[0], (y + height) * size_wh[1])
    return DrawnBox(where, corners, str(label), score)
