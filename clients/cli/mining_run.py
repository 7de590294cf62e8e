"""The run behind `dap mine`: what is planned, and labelled in this process or by a pool on Ray."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from clients.cli.console import image_progress

if TYPE_CHECKING:
    from dap_core.label_sets import Failure, LabelSetRow, Manifest
    from dap_core.label_sets.plan import Plan, PlannedSet
    from dap_core.label_sets.shards import ShardEntry
    from dap_core.label_sets.tally import Tally
    from dap_core.labeler import PseudoLabeler
    from dap_core.stores import Store
    from services.jobs.shard_pool import LabelerSpec

Advance = Callable[[int, int], None]


class Growth(Enum):
    """What a run adds to a label set that is there."""

    NOTHING = "nothing"
    NEW_IMAGES = "new images"
    FAILED_IMAGES = "failed images"


@dataclass(frozen=True)
class PoolOptions:
    """Labelers on Ray: how many, and the address of the cluster; None stands for a Ray of this run's own."""

    max_labelers: int
    address: str | None = None

    @property
    def cpus(self) -> float:
        """Cores of each labeler: here all are shared evenly, on a cluster one."""
        cores = len(os.sched_getaffinity(0)) if self.address is None else 1
        return max(1, cores // self.max_labelers)


@dataclass(frozen=True)
class MiningRun:
    """A frozen plan with the stores it goes between, and who labels."""

    frozen: tuple[Plan, bytes]
    source: Store
    destination: Store
    labeler: PseudoLabeler
    spec: LabelerSpec
    growth: Growth = Growth.NOTHING
    pool: PoolOptions | None = None
    max_failed: float = 1.0
    """Share of failed images above which the run stops early."""

    def run(self) -> tuple[Manifest, Tally]:
        """Labels what is not committed yet. Raises DestinationError, StoreError."""
        from dap_core.label_sets.tally import Tally

        planned, tally = self._plan(), Tally()
        with image_progress("mining", planned.num_rows) as advance:
            manifest = (self._run_here if self.pool is None else self._run_on_ray)(planned, tally, advance)
        return manifest, tally

    def _plan(self) -> PlannedSet:
        from dap_core.label_sets.runner import find_committed, start_label_set
        from dap_core.label_sets.segments import add_failed_images, add_new_images, open_for_growth

        store, wanted = self.destination, self.frozen[0]
        if self.growth is Growth.NOTHING:
            return start_label_set(store, *self.frozen)
        planned = open_for_growth(store, wanted.settings)
        rows = [row for listed in wanted.shards.values() for row in listed]
        if self.growth is Growth.NEW_IMAGES:
            return add_new_images(store, planned, rows)
        return add_failed_images(store, planned, find_committed(store, planned), rows)

    def _run_here(self, planned: PlannedSet, tally: Tally, advance: Advance) -> Manifest:
        from dap_core.label_sets import LabelSetRow
        from dap_core.label_sets.labeling import ShardLabeler
        from dap_core.label_sets.runner import run_plan

        def on_image(item: LabelSetRow | Failure) -> None:
            tally.add(item)
            advance(1, int(not isinstance(item, LabelSetRow)))

        make_shard = ShardLabeler(self.labeler, self.source, self.destination, planned.settings, on_image)
        return run_plan(
            self.destination,
            planned,
            make_shard,
            on_resumed=lambda entry: _advance_by(entry, advance),
            max_failed=self.max_failed,
        )

    def _run_on_ray(self, planned: PlannedSet, tally: Tally, advance: Advance) -> Manifest:
        from dap_core.label_sets.runner import run_tasks
        from services.jobs.shard_pool import ShardPool
        from services.ray_session import connect_ray

        assert self.pool is not None
        gpus = 1.0 if (self.spec.device or "").startswith("cuda") else 0.0
        shards = ShardPool(
            self.spec, self.source, self.destination, self.pool.max_labelers, self.pool.cpus, gpus, tally.merge
        )
        with connect_ray(self.pool.address):
            return run_tasks(
                self.destination,
                planned,
                shards,
                on_resumed=lambda entry: _advance_by(entry, advance),
                on_committed=lambda entry: _advance_by(entry, advance),
                max_failed=self.max_failed,
            )


def _advance_by(entry: ShardEntry, advance: Advance) -> None:
    advance(entry.footer.num_ok + entry.footer.num_failed, entry.footer.num_failed)
