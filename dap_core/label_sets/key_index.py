"""Finding rows of plans by key, a million at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dap_core.label_sets.plan_rows import BATCH_ROWS, PlanRow, PlanRows


@dataclass(frozen=True, eq=False)
class KeyIndex:
    """Rows that can be found by key; of several rows of one key the last one counts.

    `digests` [k] are the sorted sha256 of all keys, `positions` [k] the place of each in `rows`.
    """

    rows: PlanRows
    digests: NDArray[np.bytes_]
    positions: NDArray[np.int64]

    @classmethod
    def from_rows(cls, rows: PlanRows) -> KeyIndex:
        """The index of rows."""
        digests = rows.hash_keys()
        order = np.argsort(digests, kind="stable")
        digests.sort()
        counts = np.append(digests[1:] != digests[:-1], True)[: len(rows)]
        return cls(rows, digests[counts], order[counts])

    def find(self, digests: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """The position in `rows` of the keys with these sha256 [m], -1 where there is no such key."""
        if not len(self.digests):
            return np.full(len(digests), -1)
        places = np.minimum(np.searchsorted(self.digests, digests), len(self.digests) - 1)
        return np.where(self.digests[places] == digests, self.positions[places], -1)


def count_keys(rows: Sequence[PlanRow]) -> int:
    """How many different keys there are."""
    return len(KeyIndex.from_rows(PlanRows.from_rows(rows)).digests)


def compare_rows(ours: KeyIndex, theirs: KeyIndex) -> list[str]:
    """In words how many of our images are new, gone and changed; empty when none are."""
    found, back = theirs.find(ours.digests), ours.find(theirs.digests)
    same_key = found >= 0
    changed = _find_changed(ours.rows, ours.positions[same_key], theirs.rows, found[same_key])
    groups = (
        ("new", ours.rows, ours.positions[~same_key]),
        ("gone", theirs.rows, theirs.positions[back < 0]),
        ("changed", ours.rows, changed),
    )
    return [
        f"{len(positions)} images are {what} (such as {_find_first_key(rows, positions)})"
        for what, rows, positions in groups
        if len(positions)
    ]


def _find_changed(
    ours: PlanRows, positions: NDArray[np.int64], theirs: PlanRows, found: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Those of our positions [k] whose rows differ from the rows at their positions [k]."""
    changed = [np.empty(0, np.int64)]
    for start in range(0, len(positions), BATCH_ROWS):
        batch = slice(start, start + BATCH_ROWS)
        is_same = ours.take(positions[batch]).compare(theirs.take(found[batch]))
        changed.append(positions[batch][~is_same])
    return np.concatenate(changed)


def _find_first_key(rows: PlanRows, positions: NDArray[np.int64]) -> str:
    return min(row.key for row in rows.take(positions))
