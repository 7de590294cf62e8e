"""What a mining job has seen of its images, told to its context as it goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from dap_core.label_sets import Manifest
from dap_core.label_sets.labeling import OnImage
from dap_core.label_sets.schema import Failure, LabelSetRow
from dap_core.label_sets.shards import ShardEntry
from dap_core.label_sets.tally import Tally
from dap_core.label_sets.timings import ShardTimings
from services.jobs.context import JobContext


class MiningCounts:
    """Counts images shard by shard, or image by image where shards are labelled in this process."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self.tally = Tally()
        """Images of the shards that were committed."""
        self.timings: list[ShardTimings] = []
        self._open = Tally()

    def describe(self, place: str, manifest: Manifest, num_skipped: int) -> dict[str, Any]:
        """What there is of a label set, and what of it this job saw; plain JSON values."""
        images = manifest.counts
        return {
            "label_set": place,
            "state": manifest.state,
            "images": images.num_planned,
            "ok": images.num_ok,
            "failed": images.num_failed,
            "skipped_files": num_skipped,
            "boxes": images.num_boxes,
            "boxes_per_image": round(images.num_boxes / images.num_ok, 3) if images.num_ok else 0.0,
            "failures_by_type": dict(self.tally.failures),
            "examples": self.tally.examples,
        }

    def begin_try(self) -> OnImage:
        """The images of a shard are begun, or begun again: what was counted of an open one is taken back."""
        self._drop_open()
        return self._add_image

    def add_tally(self, tally: Tally) -> None:
        """The images of a shard that another process labelled."""
        self._drop_open()
        self._open = tally
        self._context.progress.add(tally.num_ok + tally.failures.total(), tally.failures)

    def resume_shard(self, entry: ShardEntry) -> None:
        """A shard is found that an earlier run committed."""
        self._context.progress.resume(entry.footer.num_ok + entry.footer.num_failed, entry.footer.num_failed)
        self._context.report()

    def commit_shard(self, entry: ShardEntry) -> None:
        """The open shard is committed."""
        self.tally.merge(self._open)
        self._open = Tally()
        self._context.progress.add(parts=1)
        timings = asdict(entry.timings) if entry.timings else {}
        if entry.timings:
            self.timings.append(entry.timings)
        footer = entry.footer
        self._context.add_event(
            "shard",
            shard=footer.shard,
            ok=footer.num_ok,
            failed=footer.num_failed,
            boxes=footer.num_boxes,
            bytes=entry.size,
            **timings,
        )
        self._context.report()

    def close(self) -> None:
        """The run is over: what is open is lost."""
        self._drop_open()

    def _add_image(self, item: LabelSetRow | Failure) -> None:
        self._open.add(item)
        self._context.progress.add(1, {item.error_type: 1} if isinstance(item, Failure) else None)
        self._context.report()

    def _drop_open(self) -> None:
        dropped = Counter({kind: -number for kind, number in self._open.failures.items()})
        self._context.progress.add(-(self._open.num_ok + self._open.failures.total()), dropped)
        self._open = Tally()
