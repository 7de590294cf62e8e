"""Annotations of any known format: which one a path holds, and reading it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dap_core.datasets.annotations import Annotations
from dap_core.datasets.coco import read_coco
from dap_core.datasets.csv_boxes import names_box_columns, read_csv_boxes
from dap_core.datasets.cvat import read_cvat
from dap_core.datasets.fields import FieldError, read_xml
from dap_core.datasets.fiftyone import read_fiftyone
from dap_core.datasets.huggingface import open_objects, read_huggingface
from dap_core.datasets.label_studio import read_label_studio
from dap_core.datasets.voc import read_voc
from dap_core.datasets.yolo import read_yolo
from dap_core.datasets.yolo_layout import list_yaml_files, read_config
from dap_core.errors import SourceError

READERS: dict[str, Callable[..., Annotations]] = {
    "coco": read_coco,
    "voc": read_voc,
    "yolo": read_yolo,
    "csv": read_csv_boxes,
    "label-studio": read_label_studio,
    "fiftyone": read_fiftyone,
    "cvat": read_cvat,
    "huggingface": read_huggingface,
}
_SIZED_BY_IMAGES = ("yolo", "fiftyone")
"""Formats of relative boxes that do not say how large an image is."""
_FILES_READ = ("coco", "label-studio", "csv")
"""Formats whose reader takes a file only; in a folder it has to be found first."""

_FIRST_FIELDS = {
    "coco": {"info", "images", "annotations", "categories", "licenses", "type"},
    "fiftyone": {"classes", "labels"},
    "label-studio": {"id", "data", "annotations", "predictions"},
}
"""The first field of a JSON file, or of the first entry of its list, tells what it is."""
_TEXTS: dict[str, Callable[[Path], object]] = {".xml": read_xml, ".yaml": read_config, ".yml": read_config}
_CHECKS = {**_TEXTS, ".parquet": open_objects}
"""What says, by suffix, why a file cannot be read; tables of something else are nothing odd in a folder."""
_NUM_TRIED = 20
"""XML and Parquet files that are looked into before a folder is found to hold no annotations of that kind."""


def read_annotations(
    path: Path,
    format: str | None = None,  # noqa: A002
    *,
    originals_root: Path | None = None,
    **options: Any,
) -> Annotations:
    """The annotations of a file or folder in one of the formats `READERS`; left out, the format is found out.

    `options` are those of the reader: `image_root` for all, `flavor` for voc, `split` for yolo and csv, `inclusive` for
    csv, `box_format` for huggingface. `originals_root` is the `image_root` of readers that need images for their sizes,
    where no other is given.

    Raises SourceError when there is nothing, the format cannot be told or is not unique, or the reader gets nothing out
    of it; ValueError for an unknown format, or an option that its reader does not have.
    """
    if not path.exists():
        raise SourceError(f"there is no {path}")
    if format is not None and format not in READERS:
        raise ValueError(f"format must be one of {', '.join(READERS)}, got {format!r}")
    chosen, place = detect_format(path) if format is None else (format, _find_file(path, format))
    if originals_root is not None and chosen in _SIZED_BY_IMAGES:
        options.setdefault("image_root", originals_root)
    odd = options.keys() - inspect.signature(READERS[chosen]).parameters.keys()
    if odd:
        raise ValueError(f"the reader of {chosen} has no option {', '.join(sorted(odd))}")
    return READERS[chosen](place, **options)


def detect_format(path: Path) -> tuple[str, Path]:
    """The format of a file or folder, and the path its reader takes.

    Raises SourceError when it is none of the known formats, could be several, or cannot be read.
    """
    found = _find_formats(path)
    if not found:
        check_readable(path)
        raise SourceError(f"{path} holds no annotations of a known format ({', '.join(READERS)}); name the format")
    if len(found) > 1:
        listed = ", ".join(f"{place.relative_to(path)} ({name})" for name, place in found.items())
        raise SourceError(f"{path} holds several kinds of annotations: {listed}; name the format or one of the files")
    return next(iter(found.items()))


def holds_annotations(path: Path) -> bool:
    """Whether a file or folder holds annotations of a known format, or of several."""
    return bool(_find_formats(path))


def check_readable(path: Path) -> None:
    """Raises SourceError with the reason when a file that should be annotations, or one in a folder, is broken."""
    files = [path]
    if path.is_dir():
        files = [file for suffix in _TEXTS for file in islice(_list_nearby(path, f"*{suffix}"), _NUM_TRIED)]
    for file in files:
        try:
            _CHECKS.get(file.suffix.lower(), str)(file)
        except FieldError as error:
            raise SourceError(f"{file} {error}") from error


def _find_formats(path: Path) -> dict[str, Path]:
    """The known formats of a file or folder, with the paths their readers take."""
    if path.is_dir():
        return _detect_in_folder(path)
    name = _detect_file(path)
    return {name: path} if name else {}


def _detect_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return "csv" if names_box_columns(path) else None
    if suffix in (".yaml", ".yml"):
        return "yolo"
    if suffix == ".json":
        return _detect_json(path)
    if suffix == ".parquet":
        return "huggingface" if _passes(path) else None
    return _detect_xml(path) if suffix == ".xml" else None


def _passes(file: Path) -> bool:
    try:
        _CHECKS[file.suffix.lower()](file)
    except FieldError:
        return False
    return True


def _detect_json(path: Path) -> str | None:
    """Told by how the file begins, which is enough and costs nothing on a file of a gigabyte."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            start = file.read(4096).lstrip()
    except OSError:
        return None
    first = re.match(r'[\s\[{]*"([^"]*)"', start)
    if first is None:
        return None
    kinds = ("label-studio",) if start.startswith("[") else ("coco", "fiftyone")
    return next((name for name in kinds if first[1] in _FIRST_FIELDS[name]), None)


def _detect_xml(path: Path) -> str | None:
    try:
        return {"annotation": "voc", "annotations": "cvat"}.get(read_xml(path).tag)
    except FieldError:
        return None


def _detect_in_folder(path: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted([*path.glob("*.json"), *path.glob("annotations/*.json"), *path.glob("*.csv")]):
        name = _detect_file(file)
        if name in found:
            raise SourceError(f"{path} holds {found[name].relative_to(path)} and {file.relative_to(path)}; name one")
        if name is not None:
            found[name] = file
    if (path / "annotations.xml").is_file():
        found["cvat"] = path
    elif any(_detect_file(file) == "voc" for file in islice(_list_nearby(path, "*.xml"), _NUM_TRIED)):
        found["voc"] = path
    if list_yaml_files(path):
        found["yolo"] = path
    is_label_set = (path / "manifest.json").exists()
    parquet = () if is_label_set else islice(_list_nearby(path, "*.parquet"), _NUM_TRIED)
    if any(_detect_file(file) == "huggingface" for file in parquet):
        found["huggingface"] = path
    return found


def _list_nearby(path: Path, pattern: str) -> Iterator[Path]:
    """Files in a folder, in those right below it, and anywhere in `Annotations`."""
    for start in ("", "*/", "Annotations/**/"):
        yield from path.glob(start + pattern)


def _find_file(path: Path, format_: str) -> Path:
    """The file that a reader of one file takes, when a folder was given."""
    if not path.is_dir() or format_ not in _FILES_READ:
        return path
    places = (*path.glob("*.json"), *path.glob("annotations/*.json"), *path.glob("*.csv"))
    files = sorted(file for file in places if _detect_file(file) == format_)
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise SourceError(f"{path} must hold one {format_} file, found {names}; name the file")
    return files[0]
