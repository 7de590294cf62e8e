"""Attempts at a shard: what breaks a labeler is a failure of one image, what breaks a shard a reason to look at."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dap_core.errors import ShardFailedError, StoreError
from dap_core.label_sets import Manifest, open_label_set, verify_label_set
from dap_core.label_sets.labeling import LabelsStreams
from dap_core.label_sets.runner import find_committed, run_tasks, start_label_set
from dap_core.label_sets.tally import Tally
from dap_core.stores import LocalStore
from services.jobs.shard_attempts import MAX_DEATHS, ShardWorker
from services.jobs.shard_marks import ShardMarks
from tests.mining_builders import make_labeler, plan_folder, write_colour_folder

POISON, TRAP = b"poison at the end", b"trap at the end"
Item = tuple[Callable[[], bytes], tuple[str, ...]]


class BreakingLabeler:
    """A labeler whose process dies on images that hold the poison, and that errs on those with the trap."""

    def __init__(self) -> None:
        self._labeler = make_labeler()

    def label_stream(self, items: Iterable[Item]) -> Iterator[object]:
        return self._labeler.label_stream((partial(self._read, read), labels) for read, labels in items)

    def _read(self, read: Callable[[], bytes]) -> bytes:
        data = read()
        if POISON in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        if TRAP in data:
            raise RuntimeError("a trap")
        return data


class Refusing(LocalStore):
    """A store that errs, as no store should, on data objects of one shard."""

    def put(self, key: str, data: bytes | memoryview) -> None:
        if key.startswith("data/00001-"):
            raise MemoryError("no memory for it")
        super().put(key, data)


class Mining:
    """A folder of images in shards of two, and where it is labelled to."""

    def __init__(self, root: Path, make: Callable[[], object] = BreakingLabeler, num_images: int = 6) -> None:
        self.folder = write_colour_folder(root / "photos", num_images)
        self.source, self.store = LocalStore(self.folder), LocalStore(root / "labels")
        self.make, self.tally, self.num_tries = make, Tally(), 0

    def spoil(self, name: str, end: bytes) -> None:
        path = self.folder / name
        path.write_bytes(path.read_bytes() + end)

    def run(self, store: LocalStore | None = None) -> Manifest:
        store = store or self.store
        planned = start_label_set(store, *plan_folder(make_labeler(), self.folder))
        worker = ShardWorker(self.make, self.source, store, planned.settings)  # type: ignore[arg-type]
        return run_tasks(store, planned, lambda tasks: (worker.label_shard(task, self.begin_try) for task in tasks))

    def begin_try(self):  # type: ignore[no-untyped-def]
        self.num_tries += 1
        return self.tally.add


def list_marks(store: LocalStore) -> list[str]:
    return [one.key for one in store.list_objects("attempts/")]


def leave_marks(mining: Mining, shard: int, number: int) -> None:
    """As processes do that die on a shard."""
    planned = start_label_set(mining.store, *plan_folder(make_labeler(), mining.folder))
    footers = []
    with pytest.raises(StopIteration):
        run_tasks(mining.store, planned, lambda tasks: (footers.extend(one for _, one in tasks), next(iter(())))[1])
    [footer] = [one for one in footers if one.shard == shard]
    for _ in range(number):
        ShardMarks(mining.store, footer)


def test_an_undisturbed_run_tries_each_shard_once_and_leaves_no_mark(tmp_path: Path):
    mining = Mining(tmp_path)
    manifest = mining.run()
    assert (manifest.state, manifest.counts.num_ok, mining.num_tries) == ("complete", 6, 3)
    assert list_marks(mining.store) == []


def test_an_image_that_makes_the_labeler_err_is_a_failure_and_the_rest_is_as_without_it(tmp_path: Path):
    mining = Mining(tmp_path)
    mining.spoil("x0/image 002.png", TRAP)
    manifest = mining.run()
    [failure] = open_label_set(mining.store).failures()
    assert (failure.key, failure.error_type) == ("x0/image 002.png", "worker-crash")
    assert failure.message == "labelling it failed unexpectedly: RuntimeError: a trap"
    assert (manifest.state, manifest.counts.num_ok, mining.num_tries) == ("complete", 5, 4)
    assert verify_label_set(open_label_set(mining.store)) == []


def test_a_shard_on_which_a_process_died_is_labelled_in_a_child_that_may_die_as_well(tmp_path: Path):
    mining = Mining(tmp_path)
    mining.spoil("x1/image 001.png", POISON)
    planned = start_label_set(mining.store, *plan_folder(make_labeler(), mining.folder))
    [shard] = [number for number, rows in planned.shards.items() if "x1/image 001.png" in {row.key for row in rows}]
    leave_marks(mining, shard, 1)
    manifest = mining.run()
    [failure] = open_label_set(mining.store).failures()
    assert (failure.key, failure.error_type) == ("x1/image 001.png", "worker-crash")
    assert failure.message == "the process that labelled it died (signal SIGSEGV); look at the image by itself"
    assert manifest.counts.num_ok == 5
    assert list_marks(mining.store) == []


def test_a_shard_that_cannot_be_made_fails_the_run_after_the_others_are_done(tmp_path: Path):
    mining = Mining(tmp_path)
    with pytest.raises(ShardFailedError, match=r"1 of 3 shards .* shard 1: MemoryError: no memory for it"):
        mining.run(Refusing(mining.store.root))
    partial_set = open_label_set(mining.store, allow_partial=True)
    assert (partial_set.manifest.counts.num_ok, partial_set.manifest.counts.num_incomplete) == (4, 2)
    assert list_marks(mining.store) == []
    assert mining.run().state == "complete"


def test_a_shard_on_which_processes_die_again_and_again_is_given_up_and_tried_in_the_next_run(tmp_path: Path):
    mining = Mining(tmp_path)
    leave_marks(mining, 2, MAX_DEATHS)
    with pytest.raises(ShardFailedError, match=r"shard 2: 10 processes died on it"):
        mining.run()
    assert mining.run().state == "complete"


class NoDeletes(LocalStore):
    """A store whose user may not delete."""

    def delete(self, key: str) -> None:
        raise StoreError(f"{key}: not allowed")


def test_without_the_right_to_delete_marks_only_make_a_later_attempt_slower(tmp_path: Path):
    mining = Mining(tmp_path)
    assert mining.run(NoDeletes(mining.store.root)).state == "complete"
    assert len(list_marks(mining.store)) == 3


def make_nothing() -> LabelsStreams:
    raise RuntimeError("no labeler to be had")


def test_a_labeler_that_cannot_start_fails_all_shards_and_says_why(tmp_path: Path):
    mining = Mining(tmp_path, make_nothing, num_images=2)
    with pytest.raises(ShardFailedError, match=r"1 of 1 shards .*no labeler starts in a child process \(exit code 1\)"):
        mining.run()
    planned = start_label_set(mining.store, *plan_folder(make_labeler(), mining.folder))
    assert find_committed(mining.store, planned) == {}
