"""Where the labels of images in a folder or bucket come from: first folder, one for all, a pattern, or a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.errors import SourceError

_GROUP = "label"
_KEY_COLUMNS = ("key", "path")
_LABEL_COLUMNS = ("label", "labels")
_LABEL_COLUMN = re.compile(r"(labels?([ _-]?\d+)?)?")
_PARQUET_MAGIC = b"PAR1"
_Line = tuple[str, str, tuple[str, ...]]


class LabelRule(Protocol):
    """Says which labels an image has by its key under the source."""

    def find_labels(self, key: str) -> tuple[str, ...]:
        """The labels of an image, none where the rule gives none."""
        ...


@dataclass(frozen=True, slots=True)
class FolderLabels:
    """The first folder of a key is its label; an image beside the folders has none."""

    def find_labels(self, key: str) -> tuple[str, ...]:
        """The first folder."""
        folder, slash, _ = key.partition("/")
        return (folder,) if slash and folder else ()


@dataclass(frozen=True, slots=True)
class SameLabels:
    """All images have the same labels."""

    labels: tuple[str, ...]

    def find_labels(self, key: str) -> tuple[str, ...]:  # noqa: ARG002
        """The labels of all images."""
        return self.labels


@dataclass(frozen=True, slots=True)
class PatternLabels:
    """What the group `label` of a regular expression finds in a key is its label."""

    pattern: re.Pattern[str]

    @classmethod
    def from_text(cls, text: str) -> PatternLabels:
        """The rule of a regular expression; raises SourceError when it is none or has no group `label`."""
        try:
            pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise SourceError(
                f"the label pattern {text!r} is no regular expression: {error}; a named group is (?P<{_GROUP}>...)"
            ) from error
        if _GROUP not in pattern.groupindex:
            raise SourceError(f"the label pattern {text!r} has no group named label; write (?P<{_GROUP}>...) in it")
        return cls(pattern)

    def find_labels(self, key: str) -> tuple[str, ...]:
        """What the group holds where the pattern is first found."""
        found = self.pattern.search(key)
        return (found[_GROUP],) if found and found[_GROUP] else ()


@dataclass(frozen=True, slots=True)
class TableLabels:
    """A table gives the labels of each key; `place` is where it was read."""

    place: str
    labels_by_key: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_bytes(cls, data: bytes, place: str) -> TableLabels:
        """The rule of a Parquet file, or of a UTF-8 CSV file whose first line names the columns.

        The column `key` (or `path`) is the key under the source, `label` (or `labels`) its label: in Parquet a string,
        an index, or a list of them; in CSV also the columns `label2`, `label_3`, ... and those without a name are
        labels. Other columns are not read.

        Raises SourceError when the file is neither, lacks a column or rows, has a row without a key, or gives one key
        different labels in two rows.
        """
        lines = _read_parquet(data, place) if data.startswith(_PARQUET_MAGIC) else _read_csv(data, place)
        return cls(place, _collect(lines, place))

    def find_labels(self, key: str) -> tuple[str, ...]:
        """The labels in the row of the key."""
        return self.labels_by_key.get(key, ())

    def find_missing(self, keys: Collection[str]) -> list[str]:
        """The keys of the table that are not among `keys`, in the order of the table."""
        return [key for key in self.labels_by_key if key not in keys]


def _collect(lines: Iterable[_Line], place: str) -> dict[str, tuple[str, ...]]:
    labels_by_key: dict[str, tuple[str, ...]] = {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # a million rows have few labels
    for where, key, labels in lines:
        if not key:
            raise SourceError(f"the label table {place} has no key in {where}; expected a key and its labels")
        known = labels_by_key.setdefault(key, shared.setdefault(labels, labels))
        if known != labels:
            raise SourceError(
                f"the label table {place} gives {key!r} the labels {list(known)} and, in {where}, {list(labels)}; "
                "give all labels of a key in one row"
            )
    if not labels_by_key:
        raise SourceError(f"the label table {place} has no rows; expected a key and its labels in each")
    return labels_by_key


def _read_csv(data: bytes, place: str) -> Iterator[_Line]:
    try:
        lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        table = [(number, [cell.strip() for cell in line]) for number, line in enumerate(lines, 1)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"the label table {place} is neither Parquet nor UTF-8 CSV: {error}") from error
    table = [(number, line) for number, line in table if any(line)]
    names = table[0][1] if table else []
    key_column = _find_column(names, _KEY_COLUMNS, place)
    first_label = _find_column(names, _LABEL_COLUMNS, place)
    skipped = {index for index, name in enumerate(names) if not _LABEL_COLUMN.fullmatch(name.casefold())}
    for number, line in table[1:]:
        cells = enumerate(line[first_label:], first_label)
        labels = tuple(cell for index, cell in cells if cell and index not in skipped)
        yield f"line {number}", (line[key_column] if key_column < len(line) else ""), labels


def _read_parquet(data: bytes, place: str) -> Iterator[_Line]:
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        names = file.schema_arrow.names
        wanted = [names[_find_column(names, known, place)] for known in (_KEY_COLUMNS, _LABEL_COLUMNS)]
        table = file.read(columns=wanted)
        keys, labels = (table.column(name) for name in wanted)
        _check_label_type(labels.type, place)
        pairs = list(zip(keys.to_pylist(), labels.to_pylist(), strict=True))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"the label table {place} is no Parquet file that can be read: {error}") from error
    for number, (key, value) in enumerate(pairs, 1):
        yield f"row {number}", "" if key is None else str(key), _to_labels(value)


def _to_labels(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, list) else [value]
    labels = (str(item).strip() for item in several if item is not None)
    return tuple(label for label in labels if label)


def _check_label_type(kind: Any, place: str) -> None:
    """Raises SourceError for a column that is neither of strings, integers, nor lists of them."""
    types = pa.types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    inner = kind.value_type if is_list else kind
    inner = inner.value_type if types.is_dictionary(inner) else inner
    allowed = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_null)
    if not any(is_allowed(inner) for is_allowed in allowed):
        raise SourceError(f"the labels of the table {place} must be strings, indices, or lists of them, got {kind}")


def _find_column(names: Sequence[str], known: Sequence[str], place: str) -> int:
    folded = [name.strip().casefold() for name in names]
    found = next((name for name in known if name in folded), None)
    if found is None:
        given = ", ".join(map(repr, names))[:200] or "nothing"
        raise SourceError(
            f"the label table {place} must name its columns key (or path) and label (or labels), got {given}"
        )
    return folded.index(found)
