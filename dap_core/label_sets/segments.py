"""Label sets that grow: further plans, for images that came later and for those that failed.

A later plan has new shard numbers, and what it says of an image goes before an earlier failure; committed shards are
never written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dap_core.errors import DestinationError
from dap_core.label_sets.key_index import KeyIndex
from dap_core.label_sets.plan import Plan, PlannedSet, PlanRow, assign_shards, freeze_plan, read_plan
from dap_core.label_sets.plan_rows import PlanRows
from dap_core.label_sets.plan_shards import MAX_SHARD_ROWS
from dap_core.label_sets.schema import Failure
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry, read_failures
from dap_core.stores import Store

DUPLICATE_KEY = "duplicate-key"
"""The failure of a row whose image is labelled by an earlier row; there is nothing to try again."""


def read_segments(store: Store) -> PlannedSet | None:
    """What is planned in a store: of the plans for each segment the oldest; None when there is no plan."""
    infos = sorted(store.list_objects("plans/"), key=lambda info: (info.modified, info.key))
    oldest: dict[int, Plan] = {}
    for info in infos:
        plan = read_plan(store.get(info.key))
        oldest.setdefault(plan.segment, plan)
    segments: list[Plan] = []
    while len(segments) in oldest:
        segments.append(oldest[len(segments)])
    return PlannedSet(tuple(segments)) if segments else None


def open_for_growth(store: Store, settings: LabelingSettings) -> PlannedSet:
    """What a label set plans so far. Raises DestinationError when there is none, or when it has other settings."""
    found = read_segments(store)
    if found is None:
        raise DestinationError(f"{store.uri} holds no label set yet; mine it first, without --extend or --retry-failed")
    differences = settings.describe_differences(found.settings)
    if differences:
        raise DestinationError(f"{store.uri} was made with other settings: {'; '.join(differences)}")
    return found


def add_new_images(
    store: Store, planned: PlannedSet, rows: Iterable[PlanRow], *, max_rows: int = MAX_SHARD_ROWS
) -> PlannedSet:
    """Plans a segment for the rows whose keys are not planned yet; the same plan when there are none.

    A shard of it holds at most `max_rows`.
    """
    listed = PlanRows.from_rows(rows)
    is_new = KeyIndex.from_rows(planned.rows).find(listed.hash_keys()) < 0
    return _add(store, planned, listed.take(np.flatnonzero(is_new)), num_superseded=0, max_rows=max_rows)


def add_failed_images(
    store: Store,
    planned: PlannedSet,
    committed: Mapping[int, ShardEntry],
    rows: Iterable[PlanRow],
    *,
    max_rows: int = MAX_SHARD_ROWS,
) -> PlannedSet:
    """Plans a segment for the images that failed and are still listed in `rows`, at most `max_rows` in a shard.

    While shards of the plan are not `committed`, nothing is added: they come first.
    """
    if planned.shards.keys() - committed.keys():
        return planned
    failed = {failure.key for failure in find_failures(store, planned, committed)}
    again = {row.key: row for row in rows if row.key in failed}
    return _add(store, planned, list(again.values()), num_superseded=len(again), max_rows=max_rows)


def find_failures(store: Store, planned: PlannedSet, committed: Mapping[int, ShardEntry]) -> list[Failure]:
    """The images that failed and may be tried again: those that no later segment has."""
    found: list[Failure] = []
    for plan, later in zip(planned.segments, find_superseded(planned), strict=True):
        names = [committed[shard].footer.failures for shard in plan.shards if shard in committed]
        listed = [failure for name in names if name for failure in read_failures(store, name)]
        found += [one for one in listed if one.error_type != DUPLICATE_KEY and is_current(one, later)]
    return found


def is_current(failure: Failure, superseded: set[str]) -> bool:
    """Whether a failure is the last word on its row, where the keys in `superseded` are tried again later."""
    return failure.error_type == DUPLICATE_KEY or failure.key not in superseded


def find_superseded(planned: PlannedSet) -> list[set[str]]:
    """For each segment the keys that later ones try again."""
    later: list[set[str]] = []
    keys: set[str] = set()
    for plan in reversed(planned.segments):
        later.append(set(keys))
        if plan.num_superseded:
            keys |= {row.key for row in plan.shards.rows}
    return later[::-1]


def _add(
    store: Store, planned: PlannedSet, rows: Sequence[PlanRow], *, num_superseded: int, max_rows: int
) -> PlannedSet:
    if not rows:
        return planned
    shards = assign_shards(rows, first=max(planned.shards) + 1, max_rows=max_rows)
    plan, data = freeze_plan(shards, planned.settings, segment=len(planned.segments), num_superseded=num_superseded)
    store.put(f"plans/{plan.sha256}.parquet", data)
    return read_segments(store) or planned
