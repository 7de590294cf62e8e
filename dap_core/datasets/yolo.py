"""YOLO data sets: a YAML file of class names and image folders, one text file of relative boxes per image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dap_core.datasets.annotation_builder import AnnotationsBuilder, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.exported_names import OriginalImages
from dap_core.datasets.fields import FieldError, parse_number, read_text
from dap_core.datasets.image_roots import is_file, read_upright_size
from dap_core.datasets.yolo_layout import (
    find_base,
    find_label_file,
    find_place,
    find_yaml,
    list_bare_labels,
    list_entries,
    list_images,
    read_config,
    read_names,
)


@dataclass(frozen=True, slots=True)
class _Image:
    """An image, its label file, and its key, original where it lies where it was exported from."""

    file: Path
    labels: Path
    key: str
    original_key: str | None = None


def read_yolo(path: Path, *, split: str | None = None, image_root: Path | None = None) -> Annotations:
    """The annotations of a YOLO folder, or of its YAML file, of one split (`train`, `val`, `test`) or of all.

    A line is `class cx cy w h`, optionally with a score, or the outline of a polygon, of which the box is taken;
    all relative to the upright size of the image, which is read from its header. An image without a label file has
    no box. Keys are relative to `images/` when all images lie in it, else to the folder. Where there are no images,
    those that the labels were exported from are looked for in `image_root`, and keys are relative to that.

    Raises SourceError when there is no usable YAML file, no such split, or not one image.
    """
    config_path = find_yaml(path) if path.is_dir() else path
    config = read_config(config_path)
    builder = AnnotationsBuilder(path)
    names = read_names(config_path, config)
    base = find_base(config_path, config)
    entries = list_entries(config_path, config, split)
    bare = image_root is not None and not any(find_place(base, entry) for _, entry in entries)
    if image_root is not None and bare:
        root = image_root
        originals = OriginalImages(image_root, builder.names)
        images = list(_find_originals(list_bare_labels(base, entries, builder), originals, image_root, builder))
    else:
        files = list(dict.fromkeys(list_images(base, entries, builder)))
        root = _guess_root(base, files)
        images = [_Image(file, find_label_file(file), _relate(file, root)) for file in files]
    if not images:
        builder.report(config_path.name, f"leads to no image below {base}")
    for image in images:
        where = _relate(image.file, base)
        with builder.reporting(where):
            size_wh = read_upright_size(image.file)
            boxes = _read_boxes(image.labels, _relate(image.labels, base), names, size_wh, builder)
            builder.add_image(image.key, size_wh, boxes, where, image.original_key)
    if not bare:
        _report_labels(images, base, builder, orphans=split is None)
    return builder.build(list(names.values()), root)


def _find_originals(
    labels: Iterator[tuple[str, Path]], originals: OriginalImages, root: Path, builder: AnnotationsBuilder
) -> Iterator[_Image]:
    for stem, file in dict(labels).items():
        with builder.reporting(stem):
            key = originals.find_key(stem)
            yield _Image(root / key, file, key, key)


def _guess_root(base: Path, images: Sequence[Path]) -> Path:
    inside = base / "images"
    return inside if all(image.is_relative_to(inside) for image in images) else base


def _relate(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _read_boxes(
    file: Path, where: str, names: dict[int, str], size_wh: tuple[int, int], builder: AnnotationsBuilder
) -> list[DrawnBox]:
    boxes = []
    if is_file(file) and file.stat().st_size:
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


def _report_labels(images: Sequence[_Image], base: Path, builder: AnnotationsBuilder, *, orphans: bool) -> None:
    """Reports label files that several images have, told apart by nothing but their suffix, and those that none has."""
    owners: dict[Path, Path] = {}
    for image in images:
        first = owners.setdefault(image.labels, image.file)
        if first != image.file and is_file(image.labels):
            message = f"belongs to both {first.name} and {image.file.name}; both got its boxes"
            builder.report(_relate(image.labels, base), message)
    folders = {file.parent for file in owners} - {image.file.parent for image in images}
    for folder in sorted(folders) if orphans else ():
        for file in sorted(folder.glob("*.txt")):
            if file not in owners:
                builder.report(_relate(file, base), "there is no image of this label file")
