"""Images listed in a CSV file `path,label[,label...]`, or named one by one."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from dap_core.datasets.source import Source, make_plan_row
from dap_core.errors import SourceError
from dap_core.stores import LocalStore


def read_csv_list(path: Path) -> Source:
    """The images of a CSV file whose lines are `path,label[,label...]`.

    A first line `path,...` is a header. Relative paths are relative to the folder of the file, which is also
    the root of the keys; when a path is absolute, the root is the deepest folder that holds them all.
    A path without a label, and one that cannot be read, become failures later.

    Raises SourceError when the file cannot be read as UTF-8 CSV, names no image, or has a line without a
    path (with its number).
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = [(number, line) for number, line in enumerate(csv.reader(lines), 1) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read as a UTF-8 CSV file: {error}") from error
    if table and table[0][1][0].strip().casefold() == "path":
        table = table[1:]
    if not table:
        raise SourceError(f"{path} names no image; expected lines path,label[,label...]")
    listed = []
    for number, line in table:
        if not line[0].strip():
            raise SourceError(f"{path} line {number}: expected path,label[,label...], got no path")
        labels = tuple(label.strip() for label in line[1:] if label.strip())
        listed.append((path.parent / line[0].strip(), labels))
    return _make_source(listed, path.parent, [Path(line[0].strip()).is_absolute() for _, line in table])


def read_image_files(paths: Sequence[Path], labels: Sequence[str]) -> Source:
    """Single image files that all have the same labels; keys are relative to the deepest folder they share."""
    return _make_source([(path, tuple(labels)) for path in paths], paths[0].parent, [True])


def _make_source(listed: Sequence[tuple[Path, tuple[str, ...]]], folder: Path, absolute: Sequence[bool]) -> Source:
    """Rows under one root; `absolute` says which paths were not relative to `folder`."""
    paths = [Path(os.path.normpath(path.absolute())) for path, _ in listed]
    root = Path(os.path.normpath(folder.absolute()))
    if any(absolute) or not all(path.is_relative_to(root) for path in paths):
        root = Path(os.path.commonpath([path.parent for path in paths]))
    store = LocalStore(root)
    rows = []
    for path, (_, labels) in zip(paths, listed, strict=True):
        rows.append(make_plan_row(store.describe(path.relative_to(root).as_posix()), labels))
    return Source(store, tuple(rows))
