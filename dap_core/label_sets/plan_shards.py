"""Which row of a plan belongs to which shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dap_core.label_sets.plan_rows import PlanRow, PlanRows, PlanRowsBuilder

MAX_SHARD_ROWS = 1_000
MAX_SHARD_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class PlanShards(Mapping[int, tuple[PlanRow, ...]]):
    """Rows by shard number, kept by column; the rows of a shard become objects when it is asked for.

    `order` holds the positions of all rows, shard after shard, and `spans` the part of each shard in it.
    """

    rows: PlanRows
    order: NDArray[np.int64]  # [n]
    spans: dict[int, slice]

    @classmethod
    def from_mapping(cls, shards: Mapping[int, Iterable[PlanRow]]) -> PlanShards:
        """The same shards by column."""
        if isinstance(shards, PlanShards):
            return shards
        builder, ends = PlanRowsBuilder(), []
        for members in shards.values():
            for row in members:
                builder.append(row)
            ends.append(len(builder))
        rows = builder.build()
        return cls(rows, np.arange(len(rows)), _make_spans(shards, ends))

    @classmethod
    def from_numbers(cls, rows: PlanRows, numbers: NDArray[np.int32]) -> PlanShards:
        """The shards of rows with the given shard numbers, [n]."""
        order = np.argsort(numbers, kind="stable")
        distinct, counts = np.unique(numbers, return_counts=True)
        return cls(rows, order, _make_spans(distinct.tolist(), np.cumsum(counts).tolist()))

    def __getitem__(self, number: int) -> tuple[PlanRow, ...]:
        return tuple(self.select(number))

    def __contains__(self, number: object) -> bool:
        return number in self.spans

    def __iter__(self) -> Iterator[int]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlanShards):
            return super().__eq__(other)
        if self.count_rows() != other.count_rows():
            return False
        return all(self.select(number).compare(other.select(number)).all() for number in self)

    __hash__ = None  # type: ignore[assignment]

    def select(self, number: int) -> PlanRows:
        """The rows of one shard, by column."""
        return self.rows.take(self.order[self.spans[number]])

    def count_rows(self) -> dict[int, int]:
        """How many rows each shard has."""
        return {number: span.stop - span.start for number, span in self.spans.items()}

    def number_rows(self) -> NDArray[np.int32]:
        """The shard numbers of the rows in their `order`, [n]."""
        return np.repeat(np.array(list(self.spans), np.int32), list(self.count_rows().values()))


@dataclass(frozen=True)
class JoinedShards(Mapping[int, tuple[PlanRow, ...]]):
    """The shards of several plans, by number the plan that has it."""

    parts: dict[int, PlanShards]

    def __getitem__(self, number: int) -> tuple[PlanRow, ...]:
        return self.parts[number][number]

    def __iter__(self) -> Iterator[int]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)


def assign_shards(
    rows: Iterable[PlanRow], *, first: int = 0, max_rows: int = MAX_SHARD_ROWS, max_bytes: int = MAX_SHARD_BYTES
) -> PlanShards:
    """Rows by shard number, from `first` on, assigned by the rank of sha256(key).

    A shard holds at most `max_rows` rows and `max_bytes` bytes of images (or one larger image), and is a
    random sample of the classes. Rows of equal key keep their order and stay together.
    """
    listed = PlanRows.from_rows(rows)
    digests = listed.hash_keys()
    order = np.argsort(digests, kind="stable")
    digests.sort()
    is_last_of_key = np.append(digests[1:] != digests[:-1], True)[: len(order)]
    stops = np.flatnonzero(is_last_of_key) + 1
    totals = np.append(0, np.cumsum(listed.sizes[order]))
    ends = list(_cut(stops, totals, max_rows, max_bytes))
    return PlanShards(listed, order, _make_spans(range(first, first + len(ends)), ends))


def _cut(stops: NDArray[np.int64], totals: NDArray[np.int64], max_rows: int, max_bytes: int) -> Iterator[int]:
    """Where shards end: each at the last of `stops` [m] within its limits, at the next one when none is.

    `totals` [n + 1] are the bytes before each row.
    """
    end = 0
    while end < len(totals) - 1:
        by_bytes = int(np.searchsorted(totals, totals[end] + max_bytes, "right")) - 1
        within = np.searchsorted(stops, min(end + max_rows, by_bytes), "right") - 1
        end = int(stops[max(within, np.searchsorted(stops, end, "right"))])
        yield end


def _make_spans(numbers: Iterable[int], ends: list[int]) -> dict[int, slice]:
    return {number: slice(start, end) for number, start, end in zip(numbers, [0, *ends], ends, strict=False)}
