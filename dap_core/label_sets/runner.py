"""From a plan to a label set: resume what is committed, make the other shards, write the manifest.

Right without locks or conditional writes (DESIGN.md, commit protocol): killed at any point, or run twice at
once, the worst outcome is an object that no manifest names.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from dap_core.errors import DestinationError, LabelSetError, ShardFailedError, StoreError, TooManyFailuresError
from dap_core.label_sets.manifest import Manifest, Segment, read_manifest, write_manifest
from dap_core.label_sets.plan import Plan, PlannedSet, PlanRow, describe_differences
from dap_core.label_sets.segments import read_segments
from dap_core.label_sets.shards import ShardEntry, ShardFooter, list_committed
from dap_core.stores import Store

T = TypeVar("T")
ShardTask = tuple[tuple[PlanRow, ...], ShardFooter]
"""The rows of one shard, and a footer with its number and key."""
MakeShard = Callable[[tuple[PlanRow, ...], ShardFooter], ShardEntry]
"""Labels the rows of one shard and commits it under the number and key of the given footer."""
RunTasks = Callable[["ShardTasks"], "Iterable[ShardEntry | FailedShard]"]
"""Does tasks in any order and gives each entry when it is committed, or what says why a shard cannot be made."""
OnEntry = Callable[[ShardEntry], None]


@dataclass(frozen=True, slots=True)
class FailedShard:
    """A shard that could not be made, and why; its images are neither labelled nor failed."""

    shard: int
    reason: str


@dataclass(frozen=True)
class ShardTasks:
    """The shards of a plan that are to be made, each read from the plan when its turn comes."""

    plan: PlannedSet
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[ShardTask]:
        for number in self.numbers:
            yield self.plan.shards[number], ShardFooter(number, self.plan.compute_shard_key(number), None, 0, 0, 0)


def ignore_entry(_entry: ShardEntry) -> None:
    """Hears of a shard and does nothing."""


def start_label_set(store: Store, plan: Plan, data: bytes) -> PlannedSet:
    """Puts the plan of a label set, or finds what earlier runs planned that asked for the same.

    Raises DestinationError when the store holds something else: other files, or a label set of another
    input or other settings (the message names what differs).
    """
    if not plan.num_rows:
        raise DestinationError("there is nothing to label")
    found = read_segments(store)
    if found is None:
        _check_empty(store)
        store.put(f"plans/{plan.sha256}.parquet", data)
        found = read_segments(store) or PlannedSet((plan,))
    differences = describe_differences(plan, found)
    if differences:
        raise DestinationError(
            f"{store.uri} already holds a label set of something else: {'; '.join(differences)}. "
            "Give another destination, ask for the same to resume it, or add new images with --extend"
        )
    return found


def find_committed(store: Store, plan: Plan | PlannedSet, known: Iterable[ShardEntry] = ()) -> dict[int, ShardEntry]:
    """The winner of each shard that is already committed: the oldest object with the shard's key.

    The footers of objects that are `known` are not read again.
    """
    winners: dict[int, ShardEntry] = {}
    keys = {shard: plan.compute_shard_key(shard) for shard in plan.shards}
    for entry in list_committed(store, known):
        shard = entry.footer.shard
        if shard in keys and entry.footer.shard_key == keys[shard]:
            winners.setdefault(shard, entry)
    return winners


def run_plan(store: Store, plan: PlannedSet, make_shard: MakeShard, *, max_failed: float = 1.0) -> Manifest:
    """Makes every shard of the plan that is not committed yet, one after the other; else as `run_tasks`."""

    def run(tasks: ShardTasks) -> Iterator[ShardEntry]:
        return (make_shard(*task) for task in tasks)

    return run_tasks(store, plan, run, max_failed=max_failed)


def run_tasks(
    store: Store,
    plan: PlannedSet,
    run: RunTasks,
    *,
    on_resumed: OnEntry = ignore_entry,
    on_committed: OnEntry = ignore_entry,
    max_failed: float = 1.0,
) -> Manifest:
    """Has `run` make every shard of the plan that is not committed yet, and writes the manifest.

    `on_resumed` hears of each shard found, `on_committed` of each one made. Interrupted (KeyboardInterrupt) or stopped
    by an error, a partial manifest of what is committed is written before the exception goes on.

    Raises TooManyFailuresError, while shards remain, as soon as more than the share `max_failed` of all images failed,
    and ShardFailedError when shards could not be made, after all others are done.
    """
    failed: list[FailedShard] = []
    committed = find_committed(store, plan)
    made: list[ShardEntry] = []
    try:
        for shard in sorted(committed):
            on_resumed(committed[shard])
        tasks = ShardTasks(plan, sorted(plan.shards.keys() - committed.keys()))
        with _closing(run(tasks) if tasks else ()) as results:
            for result in results:
                if isinstance(result, FailedShard):
                    failed.append(result)
                    continue
                on_committed(result)
                made.append(result)
                committed[result.footer.shard] = result
                if committed.keys() < plan.shards.keys():
                    _check_failures(plan, committed, max_failed)
    finally:
        manifest = _describe(plan, _add_timings(store, find_committed(store, plan, committed.values()), made))
        write_manifest(store, manifest)
    if failed and manifest.counts.num_incomplete:
        raise ShardFailedError(_describe_failed(failed, len(plan.shards)))
    return manifest


@contextmanager
def _closing(results: Iterable[T]) -> Iterator[Iterable[T]]:
    """Results whose maker ends before what comes after, whatever ended the loop over them."""
    try:
        yield results
    finally:
        if isinstance(results, Generator):
            results.close()


def _add_timings(store: Store, winners: dict[int, ShardEntry], made: Iterable[ShardEntry]) -> dict[int, ShardEntry]:
    """The winners with how long they took, as this run or the last manifest has it."""
    try:
        known = {entry.data: entry.timings for segment in read_manifest(store)[0].segments for entry in segment.shards}
    except (LabelSetError, StoreError):
        known = {}
    known |= {entry.data: entry.timings for entry in made}
    return {shard: replace(entry, timings=known.get(entry.data)) for shard, entry in winners.items()}


def _describe_failed(failed: list[FailedShard], num_shards: int) -> str:
    first = failed[0]
    return (
        f"{len(failed)} of {num_shards} shards could not be made, such as shard {first.shard}: {first.reason}; "
        "the others are committed, and the same run again tries these once more"
    )


def _check_failures(planned: PlannedSet, committed: dict[int, ShardEntry], max_failed: float) -> None:
    counts = _describe(planned, committed).counts
    if counts.num_failed > max_failed * counts.num_planned:
        raise TooManyFailuresError(
            f"{counts.num_failed:,} of {counts.num_planned:,} images failed, more than the {max_failed:.0%} that are "
            "allowed; what was labelled can be read"
        )


def _describe(planned: PlannedSet, winners: dict[int, ShardEntry]) -> Manifest:
    segments = []
    for plan in planned.segments:
        entries = tuple(winners[shard] for shard in sorted(plan.shards) if shard in winners)
        segments.append(Segment(plan.sha256, plan.num_rows, entries, plan.num_superseded))
    return Manifest(planned.settings, tuple(segments))


def _check_empty(store: Store) -> None:
    found = next(iter(store.list_objects()), None)
    if found is not None:
        raise DestinationError(f"{store.uri} is not empty and no label set: it holds {found.key}; give another one")
