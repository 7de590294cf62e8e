"""Images with boxes to train a detector on: of a label set, or of annotations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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


@dataclass(frozen=True, slots=True, eq=False)
class _ShardBoxes:
    entry: ShardEntry
    rows: NDArray[np.int64]
    """Numbers of the rows that have boxes."""
    labels: NDArray[np.int64]
    """Labels that have boxes."""
    num_boxes: int
    content_sha256: str
    """Of keys, images, boxes and labels of all rows."""


@dataclass(frozen=True)
class LabelSetSamples:
    """The images of a label set that have boxes; the last shard read is kept.

    Classes without a box are left out, so labels count those that have one. Raises LabelSetError when the set has no
    box, or when a shard is not what the manifest says.
    """

    label_set: LabelSet
    _held: dict[int, pa.Table] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def identity(self) -> str:
        """The sha256 of classes, keys, images and boxes: the same wherever and whenever the label set was made."""
        names = [[one.wnid, one.name] for one in self.label_set.classes.classes]
        parts = [json.dumps(names), *(shard.content_sha256 for shard in self._shards)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def classes(self) -> ClassList:
        """The classes that have boxes, in the order of the label set."""
        return ClassList(tuple(self.label_set.classes[label] for label in self._labels))

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """Images with boxes of each shard that has any."""
        return tuple(len(shard.rows) for shard in self._shards)

    @property
    def num_boxes(self) -> int:
        """Boxes of all images."""
        return sum(shard.num_boxes for shard in self._shards)

    def check(self) -> None:
        """Reads every shard once. Raises LabelSetError when one is not the object that its name hashes."""
        for entry in self.label_set.shards:
            self.label_set.read_checked(entry)

    def read(self, group: int, rows: Sequence[int]) -> list[Sample]:
        """These images of a shard."""
        if group not in self._held:
            self._held.clear()
            shard = self._shards[group]
            self._held[group] = _read_table(self.label_set, shard.entry).take(pa.array(shard.rows))
        taken = self._held[group].take(pa.array(list(rows))).combine_chunks()
        [batch] = taken.to_batches()
        boxes = boxes_from_batch(batch)
        return [
            Sample(key, self._read_image(image, key, source), one.boxes, np.searchsorted(self._labels, one.labels))
            for key, image, source, one in zip(
                batch.column("key").to_pylist(),
                batch.column("image").to_pylist(),
                batch.column("source").to_pylist(),
                boxes,
                strict=True,
            )
        ]

    @cached_property
    def _shards(self) -> list[_ShardBoxes]:
        """The shards that hold boxes, and which rows of each do."""
        found = (_find_boxes(self.label_set, entry) for entry in self.label_set.shards)
        shards = [shard for shard in found if shard.num_boxes]
        if not shards:
            raise LabelSetError(f"{self.label_set.store.uri} has no box to train on")
        return shards

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        """The labels in the label set that have boxes, ascending."""
        return np.unique(np.concatenate([shard.labels for shard in self._shards]))

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


def _find_boxes(label_set: LabelSet, entry: ShardEntry) -> _ShardBoxes:
    """Reads keys, boxes and hashes of the rows, and neither images nor maps."""
    try:
        file = pq.ParquetFile(RangeFile(label_set.store, entry.data, entry.size))
        table = file.read(columns=["key", "source.sha256", "boxes", "box_labels"])
        column = table.column("box_labels")
    except (pa.ArrowException, OSError) as error:
        raise LabelSetError(f"{entry.data} is damaged: {error}") from error
    counts = pc.list_value_length(column).to_numpy()
    num_boxes = int(counts.sum())
    if (len(counts), num_boxes) != (entry.footer.num_ok, entry.footer.num_boxes):
        raise LabelSetError(
            f"{entry.data} holds {len(counts)} rows with {num_boxes} boxes, the manifest says {entry.footer.num_ok} "
            f"and {entry.footer.num_boxes}; dap verify looks closer"
        )
    labels = np.unique(column.combine_chunks().flatten().to_numpy()).astype(np.int64)
    return _ShardBoxes(entry, np.flatnonzero(counts), labels, num_boxes, _hash_rows(table, counts))


def _hash_rows(table: pa.Table, counts: NDArray[np.integer[Any]]) -> str:
    """The sha256 of keys, image hashes, numbers of boxes, boxes and labels of these rows."""
    images = table.column("source").combine_chunks().field("sha256")
    digest = hashlib.sha256(json.dumps([table.column("key").to_pylist(), images.to_pylist()]).encode())
    digest.update(counts.astype("<i8").tobytes())
    digest.update(table.column("box_labels").combine_chunks().flatten().to_numpy().astype("<i8").tobytes())
    corners = table.column("boxes").combine_chunks().flatten().flatten().to_numpy(zero_copy_only=False)
    digest.update(corners.astype("<f4").tobytes())
    return digest.hexdigest()


def _read_table(label_set: LabelSet, entry: ShardEntry) -> pa.Table:
    """The columns of a shard that training needs; checked against the hash in its name."""
    data = label_set.read_checked(entry)
    return open_shard(data, entry.data).read(columns=[*_BOXES, "image", "source"])
