"""One shard as an object: encoding, committing, and reading its footer without the rest.

A shard is committed when its data object exists. Its failures object is put before, so a data object never
points at something that is not there.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.errors import LabelSetError
from dap_core.label_sets.range_files import RangeFile
from dap_core.label_sets.schema import FAILURE_SCHEMA, SHARD_SCHEMA, Failure, LabelSetRow, rows_to_batch
from dap_core.label_sets.timings import ShardTimings
from dap_core.memory import release_memory
from dap_core.stores import ObjectInfo, Store

ROWS_PER_GROUP = 50
_FOOTER = b"dap.shard"
_TAIL_BYTES = 256 * 1024
_OBJECT_NAME = re.compile(r"(data|failures)/(\d{5,})-([0-9a-f]{64})\.parquet")
_STORED_AS_IS = ("image.bytes", "cams.list.element.values")  # JPEG bytes and 16-bit noise do not compress


@dataclass(frozen=True, slots=True)
class ShardFooter:
    """What a shard's footer says: its number, its key (see `Plan.compute_shard_key`), failures object and counts."""

    shard: int
    shard_key: str
    failures: str | None
    num_ok: int
    num_failed: int
    num_boxes: int


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A committed shard: its object, what its footer says, and how long it took where that is known."""

    data: str
    size: int
    footer: ShardFooter
    timings: ShardTimings | None = field(default=None, compare=False)


class ShardEncoder:
    """Encodes one shard as Parquet, batch by batch."""

    def __init__(self) -> None:
        self._sink = pa.BufferOutputStream()
        leaves = pq.ParquetFile(_empty_parquet()).schema
        paths = [leaves.column(index).path for index in range(len(leaves))]
        self._writer = pq.ParquetWriter(
            self._sink,
            SHARD_SCHEMA,
            compression={path: "none" if path in _STORED_AS_IS else "zstd" for path in paths},
            use_dictionary=False,
            write_statistics=False,
        )

    def add(self, batch: pa.RecordBatch) -> None:
        """Appends one row group."""
        self._writer.write_batch(batch)

    def finish(self, footer: ShardFooter) -> memoryview:
        """The whole object, with the footer in its metadata."""
        self._writer.add_key_value_metadata({_FOOTER.decode(): json.dumps(asdict(footer))})
        self._writer.close()
        return memoryview(self._sink.getvalue())


def commit_shard(
    store: Store, batches: Iterable[pa.RecordBatch], failures: Sequence[Failure], footer: ShardFooter
) -> ShardEntry:
    """Writes a shard and its failures into the store and returns its entry.

    `footer` gives number and key; counts and the name of the failures object are filled in here. A shard
    without rows is written too, so that it counts as done. `failures` may grow while `batches` is read.
    """
    encoder = ShardEncoder()
    num_ok = num_boxes = 0
    for batch in batches:
        encoder.add(batch)
        num_ok += batch.num_rows
        num_boxes += len(batch.column("box_labels").flatten())
    name = _put_failures(store, footer.shard, failures) if failures else None
    footer = replace(footer, failures=name, num_ok=num_ok, num_failed=len(failures), num_boxes=num_boxes)
    data = encoder.finish(footer)
    key, size = _object_name("data", footer.shard, data), len(data)
    store.put(key, data)
    del data, encoder
    release_memory()
    return ShardEntry(key, size, footer)


def rows_to_batches(rows: Iterable[LabelSetRow]) -> Iterator[pa.RecordBatch]:
    """Rows as batches of the size of a row group, each made when it is full."""
    stream = iter(rows)
    while group := list(islice(stream, ROWS_PER_GROUP)):
        yield rows_to_batch(group)


def list_committed(store: Store, known: Iterable[ShardEntry] = ()) -> list[ShardEntry]:
    """Every shard object of the store, oldest first; reads footers only, and not those of `known` objects."""
    objects = [info for info in store.list_objects("data/") if _OBJECT_NAME.fullmatch(info.key)]
    objects.sort(key=lambda info: (info.modified, info.key))
    footers = {entry.data: entry.footer for entry in known}
    unread = [info for info in objects if info.key not in footers]
    with ThreadPoolExecutor(max(1, store.num_parallel_reads)) as readers:
        read = readers.map(partial(read_footer, store), unread)
        footers |= {info.key: footer for info, footer in zip(unread, read, strict=True)}
    return [ShardEntry(info.key, info.size, footers[info.key]) for info in objects]


def read_footer(store: Store, info: ObjectInfo) -> ShardFooter:
    """The footer of one shard object, from its last bytes; raises LabelSetError when there is none."""
    tail = store.get_range(info.key, max(0, info.size - _TAIL_BYTES), info.size)
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if needed > len(tail):
        tail = store.get_range(info.key, max(0, info.size - needed), info.size)
    return _parse_footer(tail, info.key)


def open_shard(data: bytes | RangeFile, key: str) -> pq.ParquetFile:
    """A shard object opened for reading; raises LabelSetError when it is damaged or of another schema.

    Of a file the columns of a row group that lie side by side are read at once.
    """
    try:
        file = (
            pq.ParquetFile(pa.BufferReader(data)) if isinstance(data, bytes) else pq.ParquetFile(data, pre_buffer=True)
        )
    except (pa.ArrowException, OSError) as error:
        raise LabelSetError(f"{key} is damaged: {error}") from error
    if not file.schema_arrow.equals(SHARD_SCHEMA):
        raise LabelSetError(f"{key} has other columns than a shard of a label set")
    return file


def read_failures(store: Store, key: str) -> list[Failure]:
    """The failures that an object of `failures/` holds."""
    try:
        table = pq.ParquetFile(pa.BufferReader(store.get(key))).read()
    except pa.ArrowException as error:
        raise LabelSetError(f"{key} is damaged: {error}") from error
    if not table.schema.equals(FAILURE_SCHEMA):
        raise LabelSetError(f"{key} has other columns than a list of failures")
    return [Failure(**item) for item in table.to_pylist()]


def parse_object_name(key: str) -> tuple[int, str]:
    """Shard number and sha256 in the name of a data or failures object; raises LabelSetError for another name."""
    match = _OBJECT_NAME.fullmatch(key)
    if not match:
        raise LabelSetError(f"{key} is no name of a shard object")
    return int(match[2]), match[3]


def _put_failures(store: Store, shard: int, failures: Sequence[Failure]) -> str:
    table = pa.Table.from_pylist([asdict(failure) for failure in failures], FAILURE_SCHEMA)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    key = _object_name("failures", shard, sink.getbuffer())
    store.put(key, sink.getbuffer())
    return key


def _object_name(folder: str, shard: int, data: memoryview) -> str:
    return f"{folder}/{shard:05d}-{hashlib.sha256(data).hexdigest()}.parquet"


def _parse_footer(tail: bytes, key: str) -> ShardFooter:
    try:
        metadata: dict[bytes, Any] = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
        return ShardFooter(**json.loads(metadata[_FOOTER]))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise LabelSetError(f"{key} is damaged or no shard of a label set: {error}") from error


def _empty_parquet() -> io.BytesIO:
    sink = io.BytesIO()
    pq.write_table(SHARD_SCHEMA.empty_table(), sink)
    sink.seek(0)
    return sink
