"""Label sets that grow: new images, and failures that are tried again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets import open_source
from dap_core.errors import DestinationError
from dap_core.label_sets import LabelSet, Manifest, open_label_set, verify_label_set
from dap_core.label_sets.labeling import ShardLabeler, make_settings
from dap_core.label_sets.plan import PlannedSet
from dap_core.label_sets.recutting import ShardRecutter, plan_recut
from dap_core.label_sets.runner import find_committed, run_plan, start_label_set
from dap_core.label_sets.segments import add_failed_images, add_new_images, open_for_growth
from dap_core.stores import LocalStore, Store
from tests.mining_builders import SMALL_RECIPE, make_labeler, mine_folder, plan_folder, write_colour_folder

BAD = "x0/bad.png"


class Growing:
    """A folder of five images, one of them damaged, and its label set."""

    def __init__(self, root: Path) -> None:
        self.labeler = make_labeler()
        self.folder = write_colour_folder(root / "images", 4)
        self.store: Store = LocalStore(root / "labels")
        (self.folder / BAD).write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        mine_folder(self.labeler, self.folder, self.store)

    @property
    def label_set(self) -> LabelSet:
        return open_label_set(self.store, allow_partial=True)

    def open(self) -> PlannedSet:
        return open_for_growth(self.store, make_settings(self.labeler, LocalStore(self.folder)))

    def rows(self):  # type: ignore[no-untyped-def]
        return open_source([self.folder]).rows

    def run(self, planned: PlannedSet) -> tuple[Manifest, list[int]]:
        """Runs a plan and says which shards were made."""
        made: list[int] = []
        real = ShardLabeler(self.labeler, LocalStore(self.folder), self.store, planned.settings)
        manifest = run_plan(
            self.store, planned, lambda rows, footer: (made.append(footer.shard), real(rows, footer))[1]
        )
        return manifest, made

    def retry(self) -> PlannedSet:
        planned = self.open()
        return add_failed_images(self.store, planned, find_committed(self.store, planned), self.rows())

    def grow(self, num_images: int) -> None:
        """Adds images up to that number; those that are there stay untouched."""
        more = write_colour_folder(self.folder.with_name("more"), num_images)
        for path in more.rglob("*.png"):
            target = self.folder / path.relative_to(more)
            if not target.exists():
                path.rename(target)

    def mend(self) -> None:
        (self.folder / BAD).write_bytes((self.folder / "x0" / "image 000.png").read_bytes())


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path)


def test_new_images_make_a_segment_and_old_shards_stay(growing: Growing):
    before = {one.key for one in growing.store.list_objects("data/")}
    growing.grow(7)
    os.utime(growing.folder / "x1" / "image 001.png", (5, 5))
    planned = add_new_images(growing.store, growing.open(), growing.rows())
    manifest, made = growing.run(planned)
    first_new = max(planned.segments[0].shards) + 1
    assert made == list(range(first_new, first_new + len(planned.segments[1].shards)))
    counts = manifest.counts
    assert (manifest.state, counts.num_planned, counts.num_ok, counts.num_failed) == ("complete", 8, 7, 1)
    assert {one.key for one in growing.store.list_objects("data/")} > before
    assert verify_label_set(growing.label_set) == []
    assert len({row.key for row in growing.label_set.rows()}) == 7


def test_extending_by_nothing_is_a_resume(growing: Growing):
    planned = add_new_images(growing.store, growing.open(), growing.rows())
    assert len(planned.segments) == 1
    assert growing.run(planned)[1] == []


def test_a_failure_that_is_mended_becomes_a_row(growing: Growing):
    assert [one.key for one in growing.label_set.failures()] == [BAD]
    growing.mend()
    planned = growing.retry()
    assert [row.key for rows in planned.segments[1].shards.values() for row in rows] == [BAD]
    manifest, made = growing.run(planned)
    assert (manifest.state, len(made)) == ("complete", 1)
    assert (manifest.counts.num_planned, manifest.counts.num_ok, manifest.counts.num_failed) == (5, 5, 0)
    assert list(growing.label_set.failures()) == []
    assert verify_label_set(growing.label_set) == []


def test_a_failure_that_fails_again_counts_once(growing: Growing):
    for num_segments in (2, 3):
        manifest, _ = growing.run(growing.retry())
        assert len(manifest.segments) == num_segments
        assert (manifest.counts.num_planned, manifest.counts.num_failed, manifest.state) == (5, 1, "complete")
        assert [one.key for one in growing.label_set.failures()] == [BAD]
    assert verify_label_set(growing.label_set) == []


def test_an_image_that_is_tried_again_is_incomplete_until_it_is_done(growing: Growing):
    growing.mend()
    planned = growing.retry()

    def stop(_rows, _footer):  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(growing.store, planned, stop)
    counts = growing.label_set.manifest.counts
    assert (counts.num_planned, counts.num_ok, counts.num_failed, counts.num_incomplete) == (5, 4, 0, 1)
    assert growing.retry() == planned, "what is unfinished comes before another try"
    assert growing.run(growing.retry())[0].counts.num_ok == 5


def test_a_failed_image_that_is_gone_stays_a_failure(growing: Growing):
    (growing.folder / BAD).unlink()
    assert len(growing.retry().segments) == 1


def test_the_plain_command_resumes_a_set_that_has_grown(growing: Growing):
    growing.grow(6)
    growing.run(add_new_images(growing.store, growing.open(), growing.rows()))
    growing.mend()
    growing.run(growing.retry())
    planned = start_label_set(growing.store, *plan_folder(growing.labeler, growing.folder))
    assert len(planned.segments) == 3
    assert growing.run(planned)[1] == []
    growing.grow(8)
    with pytest.raises(DestinationError, match=r"2 images are new .*--extend"):
        start_label_set(growing.store, *plan_folder(growing.labeler, growing.folder))


def test_of_two_plans_for_a_segment_the_oldest_is_taken_by_both(growing: Growing):
    planned = growing.open()
    growing.grow(5)
    first = add_new_images(growing.store, planned, growing.rows())
    growing.grow(6)
    os.utime(growing.store.root / f"plans/{first.segments[1].sha256}.parquet", (1, 1))  # type: ignore[attr-defined]
    os.utime(growing.store.root / f"plans/{first.segments[0].sha256}.parquet", (1, 1))  # type: ignore[attr-defined]
    second = add_new_images(growing.store, planned, growing.rows())
    assert second == first
    later = add_new_images(growing.store, second, growing.rows())
    assert [plan.num_rows for plan in later.segments] == [5, 1, 1]
    assert growing.run(later)[0].state == "complete"


def test_recutting_a_set_that_has_grown_keeps_each_image_once(growing: Growing, tmp_path: Path):
    growing.grow(6)
    growing.run(add_new_images(growing.store, growing.open(), growing.rows()))
    growing.mend()
    growing.run(growing.retry())
    parent, store = growing.label_set, LocalStore(tmp_path / "recut")
    run_plan(
        store, start_label_set(store, *plan_recut(parent, SMALL_RECIPE)), ShardRecutter(parent, store, SMALL_RECIPE)
    )
    recut = open_label_set(store)
    assert (recut.manifest.counts.num_planned, recut.manifest.counts.num_ok, list(recut.failures())) == (7, 7, [])
    assert verify_label_set(recut) == []
    boxes = {row.key: row.boxes.boxes for row in parent.rows()}
    for row in recut.rows():
        np.testing.assert_array_equal(row.boxes.boxes, boxes[row.key])


def test_growth_needs_a_label_set_with_the_same_settings(growing: Growing, tmp_path: Path):
    settings = make_settings(growing.labeler, LocalStore(growing.folder))
    with pytest.raises(DestinationError, match="holds no label set yet; mine it first"):
        open_for_growth(LocalStore(tmp_path / "nothing"), settings)
    other = make_settings(growing.labeler, LocalStore(growing.folder), store_cams=False)
    with pytest.raises(DestinationError, match="store_cams is False, was True"):
        open_for_growth(growing.store, other)
