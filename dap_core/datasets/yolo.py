"""YOLO data sets: a YAML file of class names and image folders, one text file of relative boxes per image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from dap_core.datasets.annotation_builder import AnnotationsBuilder, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.fields import FieldError, expect_mapping, parse_number, read_text
from dap_core.datasets.image_roots import read_upright_size
from dap_core.datasets.source import is_image_name
from dap_core.errors import SourceError

_SPLITS = ("train", "val", "test")


def read_yolo(path: Path, *, split: str | None = None, image_root: Path | None = None) -> Annotations:
    """The annotations of a YOLO folder, or of its YAML file, of one split (`train`, `val`, `test`) or of all.

    A line is `class cx cy w h`, optionally with a score, or the outline of a polygon, of which the box is taken;
    all relative to the upright size of the image, which is read from its header. An image without a label file has
    no box. Keys are relative to `image_root`, by default `images/` when all images lie in it, else the folder.

    Raises SourceError when there is no usable YAML file or not one image.
    """
    config_path = _find_yaml(path) if path.is_dir() else path
    config = _read_config(config_path)
    builder = AnnotationsBuilder(path)
    names = _read_names(config_path, config)
    base = _find_base(config_path, config)
    images = list(dict.fromkeys(_list_images(base, config, split, builder)))
    if not images:
        raise SourceError(f"{config_path} leads to no image below {base}")
    root = image_root or _guess_root(base, images)
    labels = {image: _find_label_file(image) for image in images}
    for image in images:
        with builder.reporting(_relate(image, base)):
            size_wh = read_upright_size(image)
            boxes = _read_boxes(labels[image], _relate(labels[image], base), names, size_wh, builder)
            builder.add_image(_relate(image, root), size_wh, boxes, _relate(image, base))
    _report_shared(labels, base, builder)
    if split is None:
        _report_orphans(labels, base, builder)
    return builder.build(list(names.values()), root)


def list_yaml_files(folder: Path) -> list[Path]:
    """The YAML files of a folder that name classes."""
    return [file for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]) if _names_classes(file)]


def _find_yaml(folder: Path) -> Path:
    found = list_yaml_files(folder)
    if not found:
        raise SourceError(f"{folder} holds no YAML file with class names; expected data.yaml")
    if len(found) > 1:
        raise SourceError(f"{folder} holds {', '.join(file.name for file in found)}; name one of them")
    return found[0]


def _names_classes(file: Path) -> bool:
    try:
        return "names" in _read_config(file)
    except SourceError:
        return False


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return expect_mapping(yaml.safe_load(read_text(path)), "the file")
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path} is no YOLO data file: {reason}") from error


def _read_names(path: Path, config: dict[str, Any]) -> dict[int, str]:
    names = config.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(index, int) for index in names):
        raise SourceError(f"{path} must give names as a list or by number, got {type(names).__name__}")
    return {index: str(names[index]) for index in sorted(names)}


def _find_base(path: Path, config: dict[str, Any]) -> Path:
    """The folder that splits are relative to: `path` as seen from the YAML file, or its own where that is not there."""
    named = path.parent / str(config.get("path") or ".")
    return named if named.is_dir() else path.parent


def _list_images(base: Path, config: dict[str, Any], split: str | None, builder: AnnotationsBuilder) -> Iterator[Path]:
    for name in _SPLITS if split is None else (split,):
        given = config.get(name)
        if given is None:
            if split is not None:
                builder.report(name, "the YAML file has no such split")
            continue
        for entry in given if isinstance(given, list) else [given]:
            with builder.reporting(name):
                yield from _list_entry(base, str(entry))


def _list_entry(base: Path, entry: str) -> Iterator[Path]:
    """The images of a folder, or those listed in a text file."""
    place = base / entry
    if not place.exists() and entry.startswith("../"):
        place = base / entry[3:]  # some writers count from a folder below the YAML file
    if place.is_dir():
        yield from (file for file in sorted(place.rglob("*")) if file.is_file() and is_image_name(file.name))
    elif place.is_file():
        yield from (base / line.strip() for line in read_text(place).splitlines() if line.strip())
    else:
        raise FieldError(f"{entry} is not there")


def _guess_root(base: Path, images: Sequence[Path]) -> Path:
    inside = base / "images"
    return inside if all(image.is_relative_to(inside) for image in images) else base


def _relate(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _find_label_file(image: Path) -> Path:
    """Where the labels of an image are: the last folder `images` of its path becomes `labels`, its suffix `.txt`."""
    parts = list(image.parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _read_boxes(
    file: Path, where: str, names: dict[int, str], size_wh: tuple[int, int], builder: AnnotationsBuilder
) -> list[DrawnBox]:
    boxes = []
    if file.is_file() and file.stat().st_size:
        with builder.reporting(where):
            for number, line in enumerate(read_text(file).splitlines(), 1):
                if line.strip():
                    with builder.reporting(f"{where} line {number}"):
                        boxes.append(_read_line(line.split(), f"{where} line {number}", names, size_wh))
    return boxes


def _read_line(cells: list[str], where: str, names: dict[int, str], size_wh: tuple[int, int]) -> DrawnBox:
    is_polygon = len(cells) >= 7 and len(cells) % 2 == 1
    if len(cells) not in (5, 6) and not is_polygon:
        raise FieldError(f"expected class, cx, cy, w, h, got {len(cells)} values")
    index, *values = (parse_number(cell, "a value") for cell in cells)
    if index not in names:
        raise FieldError(f"there is no class {cells[0]:.20}")
    if is_polygon:
        left, top, right, bottom = min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
    else:
        cx, cy, w, h = values[:4]
        left, top, right, bottom = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    width, height = size_wh
    score = values[4] if len(cells) == 6 else None
    return DrawnBox(where, (left * width, top * height, right * width, bottom * height), names[int(index)], score)


def _report_shared(labels: dict[Path, Path], base: Path, builder: AnnotationsBuilder) -> None:
    """Reports label files that several images have, told apart by nothing but their suffix."""
    owners: dict[Path, Path] = {}
    for image, file in labels.items():
        first = owners.setdefault(file, image)
        if first != image and file.is_file():
            builder.report(_relate(file, base), f"belongs to both {first.name} and {image.name}; both got its boxes")


def _report_orphans(labels: dict[Path, Path], base: Path, builder: AnnotationsBuilder) -> None:
    """Reports label files that no image has."""
    known, image_folders = set(labels.values()), {image.parent for image in labels}
    for folder in sorted({file.parent for file in known} - image_folders):
        for file in sorted(folder.glob("*.txt")):
            if file not in known:
                builder.report(_relate(file, base), "there is no image of this label file")
