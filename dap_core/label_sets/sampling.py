"""The first images of a label set, and single rows of a shard, by ranged reads: what is not asked for is not read.

A shard is the rank of sha256(key), so the first images are a random sample of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.errors import LabelSetError, ObjectMissingError
from dap_core.label_sets.range_files import RangeFile
from dap_core.label_sets.reader import LabelSet
from dap_core.label_sets.schema import SHARD_SCHEMA, LabelSetRow, batch_to_rows, cams_from_batch, images_from_batch
from dap_core.label_sets.shards import ShardEntry, open_shard
from dap_core.stores import Store
from dap_core.types import Cam

MAX_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of a shard."""

    entry: ShardEntry
    number: int


@dataclass(frozen=True, slots=True)
class SampledRow:
    """A row without its image, and where it lies: its row group, and its place there."""

    row: LabelSetRow
    group: RowGroup
    index: int


def read_sample(label_set: LabelSet, *, cams: bool = False, limit: int = MAX_SAMPLE) -> tuple[SampledRow, ...]:
    """The first `limit` rows of a label set, in stored order, with or without their maps.

    Raises LabelSetError when a shard is damaged or gone, StoreError.
    """
    wanted: list[tuple[ShardEntry, int]] = []
    for entry in label_set.shards:
        if limit > 0:
            wanted.append((entry, min(limit, entry.footer.num_ok)))
            limit -= entry.footer.num_ok
    with ThreadPoolExecutor(max(1, label_set.store.num_parallel_reads)) as readers:
        parts = readers.map(lambda one: _read_first(label_set, *one, cams=cams), wanted)
        return tuple(row for part in parts for row in part)


def read_images(store: Store, group: RowGroup) -> list[bytes | None]:
    """The encoded images of a row group, None where they are only referred to. Raises as `read_sample` does."""
    with _open(store, group.entry) as file:
        return images_from_batch(_read_batch(file, group.number, ["image"]))


def read_cams(store: Store, group: RowGroup) -> list[tuple[Cam, ...]]:
    """The maps of the rows of a row group. Raises as `read_sample` does."""
    with _open(store, group.entry) as file:
        return cams_from_batch(_read_batch(file, group.number, ["cams"]))


def _read_first(label_set: LabelSet, entry: ShardEntry, num_rows: int, *, cams: bool) -> list[SampledRow]:
    left_out = {"image"} if cams else {"image", "cams"}
    columns = [name for name in SHARD_SCHEMA.names if name not in left_out]
    found: list[SampledRow] = []
    with _open(label_set.store, entry) as file:
        if file.metadata.num_rows != entry.footer.num_ok:
            raise LabelSetError(
                f"{entry.data} holds {file.metadata.num_rows} rows, the manifest says {entry.footer.num_ok}"
            )
        for number in range(file.num_row_groups):
            if len(found) >= num_rows:
                break
            rows = batch_to_rows(_read_batch(file, number, columns))
            found += [SampledRow(row, RowGroup(entry, number), index) for index, row in enumerate(rows)]
    for one in found[:num_rows]:
        _check_labels(one.row, len(label_set.classes), entry)
    return found[:num_rows]


@contextmanager
def _open(store: Store, entry: ShardEntry) -> Iterator[pq.ParquetFile]:
    """A shard of which pieces are read inside; what goes wrong with them is a LabelSetError."""
    try:
        yield open_shard(RangeFile(store, entry.data, entry.size), entry.data)
    except ObjectMissingError as error:
        raise LabelSetError(f"{entry.data} is gone: {error}") from error
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        raise LabelSetError(f"{entry.data} is damaged: {error}") from error


def _read_batch(file: pq.ParquetFile, number: int, columns: list[str]) -> pa.RecordBatch:
    table = file.read_row_group(number, columns=columns)
    return pa.RecordBatch.from_struct_array(table.to_struct_array().combine_chunks())


def _check_labels(row: LabelSetRow, num_classes: int, entry: ShardEntry) -> None:
    labels = (*row.labels, row.top1, *row.boxes.labels.tolist(), *(label for label, _ in row.no_box_reasons))
    if any(not 0 <= label < num_classes for label in labels):
        raise LabelSetError(f"{entry.data} is damaged: {row.key} has a label outside the {num_classes} classes")
