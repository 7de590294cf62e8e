"""The object of a plan: Parquet, settings and place among the segments in its metadata (DESIGN.md, label set)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.errors import LabelSetError
from dap_core.label_sets.plan_rows import BATCH_ROWS, PlanRowsBuilder
from dap_core.label_sets.plan_shards import PlanShards
from dap_core.label_sets.settings import LabelingSettings

ROWS_PER_GROUP = 65_536
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("etag", pa.string()),
        ("bytes", pa.int64()),
        ("labels", pa.list_(pa.string())),
        ("shard", pa.int32()),
    ]
)
_SETTINGS, _SEGMENT = b"dap.settings", b"dap.segment"


def encode_plan(shards: PlanShards, settings: LabelingSettings, place: dict[str, int]) -> bytes:
    """The object of a plan; `place` says which segment it is, and how many of its rows are tried again."""
    metadata = {_SETTINGS: json.dumps(settings.to_dict())}
    if place["segment"]:
        metadata[_SEGMENT] = json.dumps(place)
    schema = _SCHEMA.with_metadata(metadata)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for table in _make_tables(shards, schema):
            writer.write_table(table)
    pa.default_memory_pool().release_unused()  # it would keep what the row groups took
    return sink.getvalue()


def decode_plan(data: bytes) -> tuple[PlanShards, LabelingSettings, dict[str, int]]:
    """What `encode_plan` took; raises LabelSetError when the object is damaged."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        metadata = file.schema_arrow.metadata
        settings = LabelingSettings.from_dict(json.loads(metadata[_SETTINGS]))
        return _read_shards(file), settings, json.loads(metadata.get(_SEGMENT, b"{}"))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise LabelSetError(f"the plan of the label set is damaged: {error}") from error


def _make_tables(shards: PlanShards, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of all shards, one table for each row group."""
    numbers = shards.number_rows()
    for start in range(0, max(1, len(numbers)), ROWS_PER_GROUP):
        group = slice(start, start + ROWS_PER_GROUP)
        rows = shards.rows.take(shards.order[group])
        columns = [
            rows.keys.cast(pa.string()),
            rows.etags.cast(pa.string()),
            pa.array(rows.sizes),
            pa.array(rows.list_labels(), pa.list_(pa.string())),
            pa.array(numbers[group]),
        ]
        yield pa.Table.from_arrays(columns, schema=schema)


def _read_shards(file: pq.ParquetFile) -> PlanShards:
    builder, numbers = PlanRowsBuilder(), [np.empty(0, np.int32)]
    for batch in file.iter_batches(BATCH_ROWS, columns=_SCHEMA.names, use_threads=False):
        keys, etags, sizes, labels, shards = (batch.column(name) for name in _SCHEMA.names)
        if any(column.null_count for column in batch.columns):
            raise ValueError("a row has an empty field")
        builder.extend_columns(keys, etags, sizes.to_numpy(), map(tuple, labels.to_pylist()))
        numbers.append(shards.to_numpy())
    pa.default_memory_pool().release_unused()  # it would keep what the batches took
    return PlanShards.from_numbers(builder.build(), np.concatenate(numbers))
