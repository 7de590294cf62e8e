"""The frozen input of a label set: which image with which labels belongs to which shard."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.errors import LabelSetError
from dap_core.label_sets.settings import LabelingSettings

MAX_SHARD_ROWS = 1_000
MAX_SHARD_BYTES = 128 * 1024 * 1024
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


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One image to label: key under the source root, etag and size when listed, labels as the source names them."""

    key: str
    etag: str
    size: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """One frozen segment of the input: rows by shard number, and the settings they are labelled with.

    `segment` counts from 0; `num_superseded` of its rows are images that failed in an earlier one and are tried again.
    """

    shards: dict[int, tuple[PlanRow, ...]]
    settings: LabelingSettings
    sha256: str = field(compare=False)
    segment: int = 0
    num_superseded: int = 0

    @property
    def num_rows(self) -> int:
        """Images in all shards."""
        return sum(map(len, self.shards.values()))

    def compute_shard_key(self, shard: int) -> str:
        """The sha256 of all that decides the content of a shard: settings and its rows, in order."""
        rows = [(row.key, row.etag, row.size, row.labels) for row in self.shards[shard]]
        return hashlib.sha256(self._settings_json + json.dumps(rows).encode()).hexdigest()

    @cached_property
    def _settings_json(self) -> bytes:
        return json.dumps(self.settings.to_dict()).encode()


@dataclass(frozen=True)
class PlannedSet:
    """All frozen segments of a label set, in order; together they are what it is to hold."""

    segments: tuple[Plan, ...]

    @property
    def settings(self) -> LabelingSettings:
        """What all segments are labelled with."""
        return self.segments[0].settings

    @property
    def num_rows(self) -> int:
        """Rows of all shards; an image that is tried again counts each time."""
        return sum(plan.num_rows for plan in self.segments)

    @cached_property
    def shards(self) -> dict[int, tuple[PlanRow, ...]]:
        """Rows by shard number, over all segments."""
        return {shard: rows for plan in self.segments for shard, rows in plan.shards.items()}

    @cached_property
    def rows(self) -> dict[str, PlanRow]:
        """By key the row that counts: the one of the last segment that has it."""
        return {row.key: row for rows in self.shards.values() for row in rows}

    def compute_shard_key(self, shard: int) -> str:
        """The key of a shard, as its segment computes it."""
        [plan] = [plan for plan in self.segments if shard in plan.shards]
        return plan.compute_shard_key(shard)


def assign_shards(
    rows: Iterable[PlanRow], *, first: int = 0, max_rows: int = MAX_SHARD_ROWS, max_bytes: int = MAX_SHARD_BYTES
) -> dict[int, tuple[PlanRow, ...]]:
    """Rows by shard number, from `first` on, assigned by the rank of sha256(key).

    A shard holds at most `max_rows` rows and `max_bytes` bytes of images (or one larger image), and is a
    random sample of the classes. Rows of equal key keep their order and stay together.
    """
    ranked = sorted(rows, key=lambda row: hashlib.sha256(row.key.encode()).digest())
    shards: list[list[PlanRow]] = []
    size = 0
    for _, group in groupby(ranked, key=lambda row: row.key):
        together = list(group)
        added = sum(row.size for row in together)
        if not shards or len(shards[-1]) + len(together) > max_rows or size + added > max_bytes:
            shards.append([])
            size = 0
        shards[-1] += together
        size += added
    return {number: tuple(shard) for number, shard in enumerate(shards, first)}


def freeze_plan(
    shards: dict[int, tuple[PlanRow, ...]], settings: LabelingSettings, *, segment: int = 0, num_superseded: int = 0
) -> tuple[Plan, bytes]:
    """The plan of these shards, and its object."""
    data = _encode(shards, settings, {"segment": segment, "num_superseded": num_superseded})
    return Plan(shards, settings, hashlib.sha256(data).hexdigest(), segment, num_superseded), data


def read_plan(data: bytes) -> Plan:
    """The plan that an object of `plans/` holds; raises LabelSetError when it is damaged."""
    try:
        table = pq.ParquetFile(io.BytesIO(data)).read()
        settings = LabelingSettings.from_dict(json.loads(table.schema.metadata[_SETTINGS]))
        place = json.loads(table.schema.metadata.get(_SEGMENT, b"{}"))
        shards: dict[int, list[PlanRow]] = {}
        for item in table.to_pylist():
            row = PlanRow(item["key"], item["etag"], item["bytes"], tuple(item["labels"]))
            shards.setdefault(item["shard"], []).append(row)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise LabelSetError(f"the plan of the label set is damaged: {error}") from error
    frozen = {shard: tuple(rows) for shard, rows in shards.items()}
    return Plan(frozen, settings, hashlib.sha256(data).hexdigest(), **place)


def describe_differences(wanted: Plan, found: PlannedSet) -> list[str]:
    """What differs between a plan and a label set's, in words; empty when they ask for the same."""
    differences = wanted.settings.describe_differences(found.settings)
    ours, theirs = PlannedSet((wanted,)).rows, found.rows
    changed = [key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]]
    for what, keys in (
        ("new", ours.keys() - theirs.keys()),
        ("gone", theirs.keys() - ours.keys()),
        ("changed", changed),
    ):
        if keys:
            differences.append(f"{len(keys)} images are {what} (such as {min(keys)})")
    if not differences and len(found.segments) == 1 and wanted.shards != found.shards:
        differences.append("the images are listed in another way")
    return differences


def _encode(shards: dict[int, tuple[PlanRow, ...]], settings: LabelingSettings, place: dict[str, int]) -> bytes:
    metadata = {_SETTINGS: json.dumps(settings.to_dict())}
    if place["segment"]:
        metadata[_SEGMENT] = json.dumps(place)
    rows = [(row, shard) for shard, members in shards.items() for row in members]
    table = pa.table(
        {
            "key": [row.key for row, _ in rows],
            "etag": [row.etag for row, _ in rows],
            "bytes": [row.size for row, _ in rows],
            "labels": [row.labels for row, _ in rows],
            "shard": [shard for _, shard in rows],
        },
        schema=_SCHEMA.with_metadata(metadata),
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
