"""The commit protocol: killed at any step, or run twice at once, nothing is lost and nothing doubled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dap_core import PseudoLabeler
from dap_core.errors import DestinationError, LabelSetError, TooManyFailuresError
from dap_core.label_sets import open_label_set, verify_label_set
from dap_core.label_sets.labeling import ShardLabeler
from dap_core.label_sets.runner import find_committed, run_plan, start_label_set
from dap_core.recipes import customise_recipe
from dap_core.stores import LocalStore, ObjectInfo, Store
from tests.mining_builders import SMALL_RECIPE, make_labeler, mine_folder, plan_folder, write_colour_folder


class Killed(BaseException):
    """Stands for the end of the process."""


class FailingStore:
    """A real store that stops the process before or after one chosen put, and every call after that."""

    num_parallel_reads = 0

    def __init__(self, store: Store, fail_at: int, *, after: bool) -> None:
        self.store, self.fail_at, self.after = store, fail_at, after
        self.uri = store.uri
        self.num_puts = 0
        self.dead = False

    def _live(self) -> Store:
        if self.dead:
            raise Killed
        return self.store

    def put(self, key: str, data: bytes | memoryview) -> None:
        store = self._live()
        self.num_puts += 1
        self.dead = self.num_puts == self.fail_at
        if not self.dead or self.after:
            store.put(key, data)
        if self.dead:
            raise Killed

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        return self._live().get(key, etag=etag)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return self._live().get_range(key, start, stop)

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._live().list_objects(prefix)

    def delete(self, key: str) -> None:
        self._live().delete(key)


def make_folder(tmp_path: Path) -> Path:
    """Five good images and a bad one: three shards, one of them with failures."""
    folder = write_colour_folder(tmp_path / "images", 5)
    (folder / "x0" / "empty.jpg").write_bytes(b"")
    return folder


def read_objects(root: Path) -> dict[str, bytes]:
    """All objects below a root but the manifests by their hash, which differ by how long shards took."""
    store = LocalStore(root)
    objects = {info.key: store.get(info.key) for info in store.list_objects()}
    return {key: drop_timings(key, data) for key, data in objects.items() if not key.startswith("manifests/")}


def drop_timings(key: str, data: bytes) -> bytes:
    """The object; a manifest without how long its shards took."""
    if key != "manifest.json":
        return data
    values = json.loads(data)
    for shard in (shard for segment in values["segments"] for shard in segment["shards"]):
        shard.pop("timings", None)
    return json.dumps(values).encode()


NUM_PUTS = 7  # plan, three data objects, one failures object, manifest twice


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fail_at", range(1, NUM_PUTS + 1))
def test_a_run_killed_at_any_put_and_resumed_equals_an_undisturbed_one(
    tmp_path: Path, fail_at: int, after: bool
) -> None:
    folder, labeler = make_folder(tmp_path), make_labeler()
    mine_folder(labeler, folder, LocalStore(tmp_path / "calm"))
    store = LocalStore(tmp_path / "killed")
    with pytest.raises(Killed):
        mine_folder(labeler, folder, FailingStore(store, fail_at, after=after))
    mine_folder(labeler, folder, store)
    calm, resumed = read_objects(tmp_path / "calm"), read_objects(tmp_path / "killed")
    assert resumed == calm
    assert verify_label_set(open_label_set(store)) == []


def test_the_kill_points_are_all_there_are(tmp_path: Path) -> None:
    store = FailingStore(LocalStore(tmp_path / "labels"), NUM_PUTS + 1, after=False)
    mine_folder(make_labeler(), make_folder(tmp_path), store)
    assert store.num_puts == NUM_PUTS


def test_resuming_repeats_no_committed_shard(tmp_path: Path) -> None:
    folder, labeler = make_folder(tmp_path), make_labeler()
    store = LocalStore(tmp_path / "labels")
    with pytest.raises(Killed):
        mine_folder(labeler, folder, FailingStore(store, 3, after=True))
    plan = start_label_set(store, *plan_folder(labeler, folder))
    committed = set(find_committed(store, plan))
    assert committed
    made: list[int] = []

    def make_shard(rows, footer):  # type: ignore[no-untyped-def]
        made.append(footer.shard)
        return ShardLabeler(labeler, LocalStore(folder), store, plan.settings)(rows, footer)

    run_plan(store, plan, make_shard)
    assert set(made) == set(plan.shards) - committed


def test_an_interrupted_run_leaves_a_partial_manifest_that_opens_only_when_told(tmp_path: Path) -> None:
    folder, labeler = make_folder(tmp_path), make_labeler()
    store = LocalStore(tmp_path / "labels")
    plan = start_label_set(store, *plan_folder(labeler, folder))
    real = ShardLabeler(labeler, LocalStore(folder), store, plan.settings)

    def make_shard(rows, footer):  # type: ignore[no-untyped-def]
        if footer.shard == 1:
            raise KeyboardInterrupt
        return real(rows, footer)

    with pytest.raises(KeyboardInterrupt):
        run_plan(store, plan, make_shard)
    with pytest.raises(LabelSetError, match="partial: 4 of 6 images are still to be labelled"):
        open_label_set(store)
    partial = open_label_set(store, allow_partial=True)
    assert partial.manifest.counts.num_incomplete == 4
    assert verify_label_set(partial) == []


def test_two_runs_at_once_end_in_one_sound_label_set(tmp_path: Path) -> None:
    folder, labeler = make_folder(tmp_path), make_labeler()
    store = LocalStore(tmp_path / "labels")
    first = start_label_set(store, *plan_folder(labeler, folder))
    second = start_label_set(store, *plan_folder(labeler, folder))
    assert first == second
    real = ShardLabeler(labeler, LocalStore(folder), store, first.settings)

    def make_shard_while_the_other_runs(rows, footer):  # type: ignore[no-untyped-def]
        if footer.shard == 0:
            run_plan(store, second, real)
        return real(rows, footer)

    manifest = run_plan(store, first, make_shard_while_the_other_runs)
    assert manifest.state == "complete"
    assert verify_label_set(open_label_set(store)) == []


def test_the_manifest_says_how_long_each_shard_took_also_of_those_that_were_resumed(tmp_path: Path) -> None:
    folder, labeler = make_folder(tmp_path), make_labeler()
    store = LocalStore(tmp_path / "labels")
    mine_folder(labeler, folder, store)
    first = [entry.timings for entry in open_label_set(store).shards]
    assert all(one and one.label_s > 0 and one.ended >= one.started for one in first)
    mine_folder(labeler, folder, store)
    assert [entry.timings for entry in open_label_set(store).shards] == first


def test_of_two_objects_of_a_shard_the_oldest_wins(tmp_path: Path) -> None:
    folder, labeler = make_folder(tmp_path), make_labeler()
    store = LocalStore(tmp_path / "labels")
    mine_folder(labeler, folder, store)
    plan = start_label_set(store, *plan_folder(labeler, folder))
    winner = find_committed(store, plan)[0]
    twin = f"data/00000-{'0' * 64}.parquet"
    store.put(twin, store.get(winner.data))
    os.utime(store.root / winner.data, (1000, 1000))
    assert find_committed(store, plan)[0].data == winner.data
    os.utime(store.root / twin, (500, 500))
    assert find_committed(store, plan)[0].data == twin


def test_a_changed_recipe_is_refused_with_what_differs(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    store = LocalStore(tmp_path / "labels")
    mine_folder(make_labeler(), folder, store)
    other = PseudoLabeler(recipe=customise_recipe(SMALL_RECIPE, nms_iou=0.5), engine=make_labeler().engine)
    with pytest.raises(DestinationError, match=r"recipe.mining.nms_iou is 0.5, was 0.8"):
        mine_folder(other, folder, store)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "x0" / "new.png").write_bytes(b""), r"1 images are new \(such as x0/new.png\)"),
        (lambda folder: (folder / "x0" / "empty.jpg").unlink(), r"1 images are gone \(such as x0/empty.jpg\)"),
        (lambda folder: os.utime(folder / "x0" / "empty.jpg", ns=(1, 1)), r"1 images are changed"),
    ],
    ids=["new", "gone", "changed"],
)
def test_a_changed_input_is_refused_with_what_differs(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    folder = make_folder(tmp_path)
    store = LocalStore(tmp_path / "labels")
    mine_folder(make_labeler(), folder, store)
    change(folder)
    with pytest.raises(DestinationError, match=message):
        mine_folder(make_labeler(), folder, store)


def test_a_destination_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    store = LocalStore(tmp_path / "labels")
    store.put("holiday.txt", b"mine")
    with pytest.raises(DestinationError, match=r"not empty and no label set: it holds holiday.txt"):
        mine_folder(make_labeler(), folder, store)
    assert read_objects(tmp_path / "labels") == {"holiday.txt": b"mine"}


def test_too_many_failures_stop_a_run_early_and_what_was_labelled_is_read(tmp_path: Path) -> None:
    folder, labeler = make_folder(tmp_path), make_labeler()
    for path in sorted(folder.rglob("*.png"))[:3]:
        path.write_bytes(b"no image")
    store = LocalStore(tmp_path / "labels")
    plan = start_label_set(store, *plan_folder(labeler, folder, max_rows=1))
    make_shard = ShardLabeler(labeler, LocalStore(folder), store, plan.settings)
    with pytest.raises(TooManyFailuresError, match="2 of 6 images failed, more than the 20% that are allowed"):
        run_plan(store, plan, make_shard, max_failed=0.2)
    partial = open_label_set(store, allow_partial=True)
    assert (partial.manifest.state, partial.manifest.counts.num_failed) == ("partial", 2)
    assert verify_label_set(partial) == []
    assert run_plan(store, plan, make_shard).counts.num_failed == 4
