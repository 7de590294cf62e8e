"""`--map` of `dap evaluate-boxes`: which labels a class of the truth stands for."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path


def parse_class_map(entries: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Labels by class from entries `CLASS=LABEL[,LABEL...]` and names of CSV files with lines `class,label`.

    Blanks around a label or a cell do not count; a class whose label is blank stands for nothing. What is the name of a
    CSV file that is there is never a class, whatever it holds.

    Raises ValueError for another form.
    """
    labels: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        name, equals, listed = entry.rpartition("=")
        if not _names_file(entry) and equals and name:
            pairs = [(name, label) for label in listed.split(",")]
        elif entry.lower().endswith(".csv"):
            pairs = _read_pairs(Path(entry))
        else:
            raise ValueError(f"--map must be CLASS=LABEL[,LABEL...] or a CSV file, got {entry!r}")
        for class_name, label in pairs:
            labels[class_name] += [label.strip()] if label.strip() else []
    return {name: tuple(of_class) for name, of_class in labels.items()}


def _names_file(entry: str) -> bool:
    try:
        return entry.lower().endswith(".csv") and Path(entry).is_file()
    except OSError:
        return False


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    """The lines of a CSV file, but for a header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = [(number, [cell.strip() for cell in line]) for number, line in enumerate(csv.reader(lines), 1)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a UTF-8 CSV file: {error}") from error
    table = [(number, line) for number, line in table if any(line)]
    odd = next((number for number, line in table if len(line) != 2 or not line[0]), None)
    if odd is not None:
        raise ValueError(f"{path} line {odd}: expected class,label")
    pairs = [(line[0], line[1]) for _, line in table]
    return pairs[1:] if pairs and pairs[0][1].casefold() in ("label", "wnid") else pairs
