"""Boxes in a CSV file, one line each, its columns named by a header."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dap_core.datasets.annotation_builder import AnnotationsBuilder, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.fields import FieldError, parse_number, parse_size
from dap_core.datasets.image_roots import find_image_root, is_file
from dap_core.errors import SourceError

ONLY_CLASS = "object"
"""The class of all boxes where no column names one."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PATH_COLUMNS = ("path", "filename", "file_name", "image")
_CLASS_COLUMNS = ("label", "class", "wnid", "name")


def read_csv_boxes(
    path: Path, *, split: str | None = None, inclusive: bool = False, image_root: Path | None = None
) -> Annotations:
    """The annotations of a CSV file with columns `path,xmin,ymin,xmax,ymax`, in any order.

    A `label`, `class`, `wnid` or `name` column gives the class (else all are `object`), `score` a score, `width` and
    `height` the size of the image. Corners count from 0, half-open; with `inclusive` xmax and ymax are the last
    pixel inside. A line without any corner is an image without a box. Of a file with a `split` column only the
    lines of `split` are read when given; images that lie in <split>/<path> are found there.

    Raises SourceError when the file is no UTF-8 CSV file, its header lacks a column, it has no line of `split`, or no
    line is usable.
    """
    header, lines = _read_lines(path)
    columns = _find_columns(path, header)
    builder = AnnotationsBuilder(path)
    rows = list(_read_rows(lines, header, columns, builder))
    splits = dict.fromkeys(row.split for row in rows)
    if split is not None and split not in splits:
        raise SourceError(f"{path} has no split {split!r}; it has {', '.join(filter(None, splits)) or 'none'}")
    folder = image_root or path.parent
    in_split_folders = any(
        is_file(folder / row.split / row.key) and not is_file(folder / row.key) for row in rows[:20] if row.split
    )
    boxes: dict[str, list[DrawnBox]] = defaultdict(list)
    sizes: dict[str, tuple[int, int] | None] = {}
    for row in rows:
        if split is None or row.split == split:
            with builder.reporting(row.where):
                key = f"{row.split}/{row.key}" if in_split_folders and row.split else row.key
                boxes[key] += row.read_boxes(inclusive)
                sizes[key] = row.read_size() or sizes.get(key)
    root = image_root or find_image_root([path.parent, path.parent / "images"], boxes)
    for key, drawn in boxes.items():
        builder.add_image(key, sizes.get(key), drawn, key)
    return builder.build(image_root=root)


def names_box_columns(path: Path) -> bool:
    """Whether the header of a CSV file has columns of box corners; False for what is no CSV file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [name.strip().casefold() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return set(_CORNERS) <= set(header)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: its cells by the names of `_find_columns` where there is one, else by those of the header."""

    where: str
    cells: dict[str, str]

    @property
    def key(self) -> str:
        return self.cells["path"].replace("\\", "/")

    @property
    def split(self) -> str:
        return self.cells.get("split", "")

    def read_size(self) -> tuple[int, int] | None:
        width, height = self.cells.get("width"), self.cells.get("height")
        return parse_size(width, height) if width or height else None

    def read_boxes(self, inclusive: bool) -> list[DrawnBox]:
        if not any(self.cells[name] for name in _CORNERS):
            return []
        x1, y1, x2, y2 = (parse_number(self.cells[name], name) for name in _CORNERS)
        score = parse_number(self.cells["score"], "score") if self.cells.get("score") else None
        name = self.cells.get("class", ONLY_CLASS)
        return [DrawnBox(self.where, (x1, y1, x2 + inclusive, y2 + inclusive), name, score)]


def _read_rows(
    lines: Sequence[tuple[int, list[str]]], header: Sequence[str], columns: dict[str, str], builder: AnnotationsBuilder
) -> Iterator[_Row]:
    for number, cells in lines:
        where = f"line {number}"
        with builder.reporting(where):
            if len(cells) != len(header):
                raise FieldError(f"expected {len(header)} columns, got {len(cells)}")
            named = dict(zip(header, map(str.strip, cells), strict=True))
            row = _Row(where, named | {name: named[column] for name, column in columns.items()})
            if not row.key:
                raise FieldError("no path")
            yield row


def _read_lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header in lower case, and the other lines with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read as a UTF-8 CSV file: {error}") from error
    if not lines:
        raise SourceError(f"{path} is empty; expected a header with path,{','.join(_CORNERS)}")
    return [name.strip().casefold() for name in lines[0][1]], lines[1:]


def _find_columns(path: Path, header: Sequence[str]) -> dict[str, str]:
    """The columns that give the path and, when there is one, the class."""
    label = next((name for name in _CLASS_COLUMNS if name in header), None)
    key = next((name for name in _PATH_COLUMNS if name in header), None)
    if key is None or not set(_CORNERS) <= set(header):
        raise SourceError(
            f"{path} has columns {', '.join(header)[:200]}; expected path,{','.join(_CORNERS)} and, if wanted, label"
        )
    return {"path": key} | ({"class": label} if label else {})
