"""Where a YOLO data set keeps its images and label files, as its YAML file says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dap_core.datasets.annotation_builder import AnnotationsBuilder
from dap_core.datasets.fields import FieldError, expect_mapping, read_text
from dap_core.datasets.image_roots import is_dir, is_file
from dap_core.datasets.source import is_image_name
from dap_core.errors import SourceError

_SPLITS = ("train", "val", "test")
Entries = list[tuple[str, str]]
"""Splits, each with a folder or list of images that the YAML file names for it."""


def list_yaml_files(folder: Path) -> list[Path]:
    """The YAML files of a folder that name classes."""
    return [file for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]) if _names_classes(file)]


def find_yaml(folder: Path) -> Path:
    """The one YAML file of a folder that names classes; raises SourceError for none or several."""
    found = list_yaml_files(folder)
    if not found:
        raise SourceError(f"{folder} holds no YAML file with class names; expected data.yaml")
    if len(found) > 1:
        raise SourceError(f"{folder} holds {', '.join(file.name for file in found)}; name one of them")
    return found[0]


def _names_classes(file: Path) -> bool:
    try:
        return "names" in read_config(file)
    except SourceError:
        return False


def read_config(path: Path) -> dict[str, Any]:
    """The content of a YAML file; raises SourceError when it is no mapping that can be read."""
    try:
        return expect_mapping(yaml.safe_load(read_text(path)), "the file")
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path} is no YOLO data file: {reason}") from error


def read_names(path: Path, config: dict[str, Any]) -> dict[int, str]:
    """Class names by number; raises SourceError when they are given in another way."""
    names = config.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(index, int) for index in names):
        raise SourceError(f"{path} must give names as a list or by number, got {type(names).__name__}")
    return {index: str(names[index]) for index in sorted(names)}


def find_base(path: Path, config: dict[str, Any]) -> Path:
    """The folder that splits are relative to: `path` as seen from the YAML file, or its own where that is not there."""
    named = path.parent / str(config.get("path") or ".")
    return named if is_dir(named) else path.parent


def list_entries(path: Path, config: dict[str, Any], split: str | None) -> Entries:
    """What the YAML file names for one split or for all; raises SourceError when it has no such split."""
    present = [name for name in _SPLITS if config.get(name) is not None]
    if split is not None and config.get(split) is None:
        raise SourceError(f"{path} has no split {split!r}; it has {', '.join(present) or 'none'}")
    entries: Entries = []
    for name in present if split is None else [split]:
        given = config[name]
        entries += [(name, str(entry)) for entry in (given if isinstance(given, list) else [given])]
    return entries


def find_place(base: Path, entry: str) -> Path | None:
    """The folder or file that an entry names; None when it is not there."""
    places = [base / entry]
    if entry.startswith("../"):
        places.append(base / entry[3:])  # some writers count from a folder below the YAML file
    return next((place for place in places if is_dir(place) or is_file(place)), None)


def list_images(base: Path, entries: Entries, builder: AnnotationsBuilder) -> Iterator[Path]:
    """The images in the folders of `entries`, or those listed in text files."""
    for split, entry in entries:
        with builder.reporting(split):
            place = find_place(base, entry)
            if place is None:
                raise FieldError(f"{entry} is not there")
            if is_dir(place):
                yield from (file for file in sorted(place.rglob("*")) if is_image_name(file.name) and is_file(file))
            else:
                yield from (base / line.strip() for line in read_text(place).splitlines() if line.strip())


def find_label_file(image: Path) -> Path:
    """Where the labels of an image are: the last folder `images` of its path becomes `labels`, its suffix `.txt`."""
    return _to_labels(image.parent).joinpath(image.name).with_suffix(".txt")


def list_bare_labels(base: Path, entries: Entries, builder: AnnotationsBuilder) -> Iterator[tuple[str, Path]]:
    """Label files of folders whose images are not there, each with its path below `labels/` without suffix."""
    for split, entry in entries:
        folder = _to_labels(base / entry)
        if not is_dir(folder):
            builder.report(split, f"{entry} is not there")
            continue
        root = base / "labels" if folder.is_relative_to(base / "labels") else folder
        for file in sorted(folder.rglob("*.txt")):
            yield file.relative_to(root).with_suffix("").as_posix(), file


def _to_labels(folder: Path) -> Path:
    parts = list(folder.parts)
    places = [index for index, part in enumerate(parts) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts)
