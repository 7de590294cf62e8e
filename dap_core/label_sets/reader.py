"""Opening a label set and reading its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from dap_core.errors import DestinationError, LabelSetError
from dap_core.label_sets.manifest import Manifest, read_manifest
from dap_core.label_sets.plan import PlannedSet, read_plan
from dap_core.label_sets.schema import SHARD_SCHEMA, Failure, LabelSetRow, batch_to_rows
from dap_core.label_sets.segments import find_superseded, is_current
from dap_core.label_sets.shards import ROWS_PER_GROUP, ShardEntry, open_shard, parse_object_name, read_failures
from dap_core.stores import LocalStore, Store
from dap_core.types import ClassList

OpenStore = Callable[[str], Store]


@dataclass(frozen=True)
class LabelSet:
    """A label set as its manifest describes it; shards are read when asked for, one at a time."""

    store: Store
    manifest: Manifest
    sha256: str
    """sha256 of the manifest: the identity of this state of the set."""
    open_source: OpenStore = LocalStore
    """Makes the store that holds the images of a set that only refers to them."""

    @property
    def classes(self) -> ClassList:
        """What the label indices stand for."""
        return self.manifest.settings.classes

    @property
    def shards(self) -> list[ShardEntry]:
        """All committed shards, in order of their numbers."""
        return [entry for segment in self.manifest.segments for entry in segment.shards]

    def check_outside(self, destination: Path) -> None:
        """Raises DestinationError when a path to write to lies inside this label set."""
        root = self.store.root if isinstance(self.store, LocalStore) else None
        if root is not None and destination.resolve().is_relative_to(root.resolve()):
            raise DestinationError(f"{destination} lies inside the label set {self.store.uri}; give a path outside")

    def read_batches(self, entry: ShardEntry, *, images: bool = True, cams: bool = True) -> Iterator[pa.RecordBatch]:
        """The rows of one shard as Arrow batches of at most a row group, with or without the heavy columns."""
        left_out = {name for name, wanted in (("image", images), ("cams", cams)) if not wanted}
        columns = [name for name in SHARD_SCHEMA.names if name not in left_out]
        file = open_shard(self.store.get(entry.data), entry.data)
        try:
            yield from file.iter_batches(batch_size=ROWS_PER_GROUP, columns=columns)
        except pa.ArrowException as error:
            raise LabelSetError(f"{entry.data} is damaged: {error}") from error

    def read_checked(self, entry: ShardEntry) -> bytes:
        """The object of one shard; raises LabelSetError when it is not the one that its name hashes."""
        data = self.store.get(entry.data)
        if hashlib.sha256(data).hexdigest() != parse_object_name(entry.data)[1]:
            raise LabelSetError(f"{entry.data} is damaged: its bytes are not those its name hashes")
        return data

    def rows(self, *, images: bool = False, cams: bool = True) -> Iterator[LabelSetRow]:
        """All labelled images, in stored order."""
        for entry in self.shards:
            for batch in self.read_batches(entry, images=images, cams=cams):
                yield from batch_to_rows(batch)

    def failures(self, start: int = 0) -> Iterator[Failure]:
        """Images of the plan that have no row, with the reason, but for the first `start`.

        Of one that was tried again, the last failure counts.
        """
        for segment, superseded in zip(self.manifest.segments, self._find_superseded(), strict=True):
            for entry in segment.shards:
                if not superseded and entry.footer.num_failed <= start:
                    start -= entry.footer.num_failed
                    continue
                listed = read_failures(self.store, entry.footer.failures) if entry.footer.failures else []
                current = [one for one in listed if is_current(one, superseded)]
                yield from current[start:]
                start = max(0, start - len(current))

    def _find_superseded(self) -> list[set[str]]:
        """For each segment the keys that later ones try again; the plans are read only where there are any."""
        segments = self.manifest.segments
        if any(segment.num_superseded for segment in segments):
            return find_superseded(self.planned)
        return [set() for _ in segments]

    @cached_property
    def planned(self) -> PlannedSet:
        """The frozen plans of all segments."""
        return PlannedSet(tuple(read_plan(self.store.get(one.plan_key)) for one in self.manifest.segments))

    def read_image(self, row: LabelSetRow) -> bytes:
        """The encoded image of a row: from the row, or from where the set refers to.

        Raises StoreError when it is gone or was changed since it was labelled.
        """
        if row.image is not None:
            return row.image
        return self.source.get(row.key, etag=row.etag)

    @cached_property
    def source(self) -> Store:
        """Where the images were when they were labelled."""
        return self.open_source(self.manifest.settings.source)


def open_label_set(
    root: str | Path | Store, *, allow_partial: bool = False, open_source: OpenStore = LocalStore
) -> LabelSet:
    """The label set at a local path or in a store; `open_source` makes the store of images it only refers to.

    Raises LabelSetError when there is none, when it is damaged, or when it is partial and that was not
    asked for.
    """
    store = LocalStore(root) if isinstance(root, str | Path) else root
    manifest, sha256 = read_manifest(store)
    if manifest.state == "partial" and not allow_partial:
        counts = manifest.counts
        raise LabelSetError(
            f"{store.uri} is partial: {counts.num_incomplete} of {counts.num_planned} images are still to be labelled; "
            "run the same dap mine again to finish it, or allow partial sets"
        )
    return LabelSet(store, manifest, sha256, open_source)
