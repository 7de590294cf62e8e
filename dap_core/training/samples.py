"""Images with boxes to train a detector on: of a label set, or of annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dap_core.datasets import AnnotatedImage
from dap_core.errors import LabelSetError, SourceError
from dap_core.label_sets import LabelSet
from dap_core.label_sets.range_files import RangeFile
from dap_core.label_sets.schema import boxes_from_batch
from dap_core.label_sets.shards import ShardEntry, open_shard
from dap_core.stores import Store
from dap_core.types import ClassList, FloatArray

_BOXES = ("key", "boxes", "box_labels", "box_scores", "box_thresholds")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An encoded image, its boxes float32 [n, 4] xyxy in pixels of the upright image, and their classes int64 [n]."""

    key: str
    data: bytes = field(repr=False)
    boxes: FloatArray
    labels: NDArray[np.int64]


class SampleSource(Protocol):
    """Samples in groups that are stored together."""

    @property
    def identity(self) -> str:
        """Names exactly what the samples are, such as by a sha256."""
        ...

    @property
    def groups(self) -> tuple[int, ...]:
        """The number of samples of each group."""
        ...

    @property
    def classes(self) -> ClassList:
        """What the labels stand for."""
        ...

    def read(self, group: int, rows: Sequence[int]) -> list[Sample]:
        """These samples of a group, in that order. Raises StoreError, LabelSetError."""
        ...


@dataclass(frozen=True)
class LabelSetSamples:
    """The images of a label set that have boxes; the last shard read is kept.

    Raises LabelSetError when the set has no box, or when a shard is not what the manifest says.
    """

    label_set: LabelSet
    _held: dict[int, pa.Table] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> str:
        """The sha256 of the manifest."""
        return self.label_set.sha256

    @property
    def classes(self) -> ClassList:
        """The classes of the label set."""
        return self.label_set.classes

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """Images with boxes of each shard that has any."""
        return tuple(len(rows) for _, rows in self._shards)

    def read(self, group: int, rows: Sequence[int]) -> list[Sample]:
        """These images of a shard."""
        entry, with_boxes = self._shards[group]
        if group not in self._held:
            self._held.clear()
            self._held[group] = _read_table(self.label_set, entry).take(pa.array(with_boxes))
        taken = self._held[group].take(pa.array(list(rows))).combine_chunks()
        [batch] = taken.to_batches()
        boxes = boxes_from_batch(batch)
        return [
            Sample(key, self._read_image(image, key, source), one.boxes, one.labels.astype(np.int64))
            for key, image, source, one in zip(
                batch.column("key").to_pylist(),
                batch.column("image").to_pylist(),
                batch.column("source").to_pylist(),
                boxes,
                strict=True,
            )
        ]

    @cached_property
    def _shards(self) -> list[tuple[ShardEntry, NDArray[np.int64]]]:
        """The shards that hold boxes, and which rows of each do."""
        found = [(entry, _find_rows_with_boxes(self.label_set, entry)) for entry in self.label_set.shards]
        shards = [(entry, rows) for entry, rows in found if len(rows)]
        if not shards:
            raise LabelSetError(f"{self.label_set.store.uri} has no box to train on")
        return shards

    def _read_image(self, image: dict[str, bytes] | None, key: str, source: dict[str, str]) -> bytes:
        if image is not None:
            return image["bytes"]
        return self.label_set.source.get(key, etag=source["etag"])


@dataclass(frozen=True)
class AnnotatedSamples:
    """Images with drawn boxes, read from a store; boxes to ignore are left out. Images without a box stay.

    Raises SourceError when a class is drawn that `classes` does not have.
    """

    store: Store
    images: tuple[AnnotatedImage, ...]
    classes: ClassList
    identity: str
    """Names the images and boxes, such as the sha256 of a list of shots."""

    @property
    def groups(self) -> tuple[int, ...]:
        """One group of all."""
        return (len(self.images),)

    def read(self, group: int, rows: Sequence[int]) -> list[Sample]:
        """These images."""
        assert group == 0
        return [self._read(self.images[row]) for row in rows]

    def _read(self, image: AnnotatedImage) -> Sample:
        kept = ~image.ignored
        names = [name for name, is_kept in zip(image.class_names, kept, strict=True) if is_kept]
        labels = np.array([self._find_class(name, image.key) for name in names], np.int64)
        return Sample(image.key, self.store.get(image.key), image.boxes[kept], labels)

    def _find_class(self, name: str, key: str) -> int:
        try:
            return self._numbers[name]
        except KeyError:
            raise SourceError(
                f"{key} has a box of class {name!r}; the classes are {', '.join(self._numbers)}"
            ) from None

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {one.name: number for number, one in enumerate(self.classes.classes)}


def _find_rows_with_boxes(label_set: LabelSet, entry: ShardEntry) -> NDArray[np.int64]:
    """Reads the number of boxes of each row and nothing else of the shard."""
    try:
        file = pq.ParquetFile(RangeFile(label_set.store, entry.data, entry.size))
        lengths = file.read(columns=["box_labels"]).column("box_labels")
    except pa.ArrowException as error:
        raise LabelSetError(f"{entry.data} is damaged: {error}") from error
    counts = [len(row) for row in lengths.to_pylist()]
    if (len(counts), sum(counts)) != (entry.footer.num_ok, entry.footer.num_boxes):
        raise LabelSetError(
            f"{entry.data} holds {len(counts)} rows with {sum(counts)} boxes, the manifest says {entry.footer.num_ok} "
            f"and {entry.footer.num_boxes}; dap verify looks closer"
        )
    return np.flatnonzero(counts).astype(np.int64)


def _read_table(label_set: LabelSet, entry: ShardEntry) -> pa.Table:
    """The columns of a shard that training needs; checked against the hash in its name."""
    data = label_set.read_checked(entry)
    return open_shard(data, entry.data).read(columns=[*_BOXES, "image", "source"])
