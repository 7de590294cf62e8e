"""The rows of a plan: one image each as an object, millions of them by column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BATCH_ROWS = 8_192
"""Rows that are objects at the same time."""
_TEXT = pa.large_string()


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One image to label: key under the source root, etag and size when listed, labels as the source names them."""

    key: str
    etag: str
    size: int
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PlanRows(Sequence[PlanRow]):
    """Rows by column, made into objects when they are read: 100 bytes for a row that takes 300 as an object.

    A tuple of labels is kept once; `label_codes` says which one of `label_tuples` a row has.
    """

    keys: pa.LargeStringArray  # [n]
    etags: pa.LargeStringArray  # [n]
    sizes: NDArray[np.int64]  # [n], bytes
    label_codes: NDArray[np.int32]  # [n]
    label_tuples: tuple[tuple[str, ...], ...]

    @classmethod
    def from_rows(cls, rows: Iterable[PlanRow]) -> PlanRows:
        """The same rows by column."""
        if isinstance(rows, PlanRows):
            return rows
        builder = PlanRowsBuilder()
        for row in rows:
            builder.append(row)
        return builder.build()

    @classmethod
    def join(cls, parts: Sequence[PlanRows]) -> PlanRows:
        """The rows of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        builder = PlanRowsBuilder()
        for part in parts:
            builder.extend(part)
        return builder.build()

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> PlanRow: ...
    @overload
    def __getitem__(self, index: slice) -> PlanRows: ...
    def __getitem__(self, index: int | slice) -> PlanRow | PlanRows:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        position = range(len(self))[index]
        return next(self._decode(position, position + 1))

    def __iter__(self) -> Iterator[PlanRow]:
        for start in range(0, len(self), BATCH_ROWS):
            yield from self._decode(start, start + BATCH_ROWS)

    def take(self, positions: NDArray[np.int64]) -> PlanRows:
        """The rows at these positions, in their order."""
        places = pa.array(positions)
        columns = self.keys.take(places), self.etags.take(places), self.sizes[positions], self.label_codes[positions]
        return PlanRows(*columns, self.label_tuples)

    def list_labels(self) -> list[tuple[str, ...]]:
        """The labels of each row."""
        return [self.label_tuples[code] for code in self.label_codes.tolist()]

    def count_labels(self) -> dict[tuple[str, ...], int]:
        """How many rows have the same labels, by these."""
        numbers = np.bincount(self.label_codes, minlength=len(self.label_tuples)).tolist()
        return {labels: number for labels, number in zip(self.label_tuples, numbers, strict=True) if number}

    def hash_keys(self) -> NDArray[np.bytes_]:
        """The sha256 of each key, [n] of 32 bytes; they sort and compare as `bytes` do."""
        digests = np.empty(len(self), "S32")
        for start in range(0, len(self), BATCH_ROWS):
            keys = self.keys[start : start + BATCH_ROWS].cast(pa.large_binary()).to_pylist()
            hashed = b"".join(hashlib.sha256(key).digest() for key in keys)
            digests[start : start + BATCH_ROWS] = np.frombuffer(hashed, "S32")
        return digests

    def compare(self, other: PlanRows) -> NDArray[np.bool_]:
        """Row by row whether `other`, as long as this, has the same."""
        texts = pc.and_(pc.equal(self.keys, other.keys), pc.equal(self.etags, other.etags))
        labels = [ours == theirs for ours, theirs in zip(self.list_labels(), other.list_labels(), strict=True)]
        same: NDArray[np.bool_] = texts.to_numpy(zero_copy_only=False)
        same = same & (self.sizes == other.sizes)
        return same & np.array(labels, np.bool_)

    def _decode(self, start: int, stop: int) -> Iterator[PlanRow]:
        labels = [self.label_tuples[code] for code in self.label_codes[start:stop].tolist()]
        keys, etags = self.keys[start:stop].to_pylist(), self.etags[start:stop].to_pylist()
        return map(PlanRow, keys, etags, self.sizes[start:stop].tolist(), labels)


class PlanRowsBuilder:
    """Collects rows into columns; of those that are not yet in one there are at most BATCH_ROWS."""

    def __init__(self) -> None:
        self._pending: list[PlanRow] = []
        self._keys, self._etags = _TextColumn(), _TextColumn()
        self._sizes: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._codes: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
        self._code_of: dict[tuple[str, ...], int] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._pending)

    def append(self, row: PlanRow) -> None:
        """Adds one row."""
        self._pending.append(row)
        if len(self._pending) == BATCH_ROWS:
            self._flush()

    def extend(self, rows: PlanRows) -> None:
        """Adds rows that are columns already."""
        self._flush()
        self._add(rows.keys, rows.etags, rows.sizes, self._encode(rows.label_tuples)[rows.label_codes])

    def extend_columns(
        self, keys: pa.Array, etags: pa.Array, sizes: NDArray[np.int64], labels: Iterable[tuple[str, ...]]
    ) -> None:
        """Adds rows by their columns of equal length; texts are Arrow strings of any kind."""
        self._flush()
        self._add(keys.cast(_TEXT), etags.cast(_TEXT), sizes, self._encode(labels))

    def build(self) -> PlanRows:
        """All rows; nothing can be added afterwards."""
        self._flush()
        return PlanRows(
            self._keys.build(),
            self._etags.build(),
            np.concatenate(self._sizes),
            np.concatenate(self._codes),
            tuple(self._code_of),
        )

    def _flush(self) -> None:
        rows, self._pending = self._pending, []
        if rows:
            self._keys.extend_texts([row.key for row in rows])
            self._etags.extend_texts([row.etag for row in rows])
            self._sizes.append(np.array([row.size for row in rows], np.int64))
            self._codes.append(self._encode(row.labels for row in rows))

    def _add(self, keys: pa.Array, etags: pa.Array, sizes: NDArray[np.int64], codes: NDArray[np.int32]) -> None:
        self._keys.extend(keys)
        self._etags.extend(etags)
        self._sizes.append(sizes)
        self._codes.append(codes)

    def _encode(self, labels: Iterable[tuple[str, ...]]) -> NDArray[np.int32]:
        codes = self._code_of
        return np.array([codes.setdefault(one, len(codes)) for one in labels], np.int32)


class _TextColumn:
    """Texts in one buffer that grows where it is, so that joining them takes no second copy."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._num_texts = 0

    def __len__(self) -> int:
        return self._num_texts

    def extend(self, texts: pa.LargeStringArray) -> None:
        if not len(texts):
            return
        _, offsets_buffer, data = texts.buffers()
        offsets = np.frombuffer(offsets_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        self._ends.append(offsets[1:] - offsets[0] + len(self._data))
        if data is not None:
            self._data += memoryview(data)[offsets[0] : offsets[-1]]
        self._num_texts += len(texts)

    def extend_texts(self, texts: list[str]) -> None:
        encoded = [text.encode() for text in texts]
        self._ends.append(np.cumsum([len(text) for text in encoded]) + len(self._data))
        self._data += b"".join(encoded)
        self._num_texts += len(texts)

    def build(self) -> pa.LargeStringArray:
        buffers = [None, pa.py_buffer(np.concatenate(self._ends)), pa.py_buffer(self._data)]
        return pa.Array.from_buffers(_TEXT, self._num_texts, buffers)
