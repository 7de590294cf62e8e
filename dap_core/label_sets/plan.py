"""The frozen input of a label set: which image with which labels belongs to which shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dap_core.label_sets.key_index import KeyIndex, compare_rows
from dap_core.label_sets.plan_files import decode_plan, encode_plan
from dap_core.label_sets.plan_rows import PlanRow, PlanRows
from dap_core.label_sets.plan_shards import JoinedShards, PlanShards, assign_shards
from dap_core.label_sets.settings import LabelingSettings

__all__ = [
    "Plan",
    "PlanRow",
    "PlannedSet",
    "assign_shards",
    "describe_differences",
    "freeze_plan",
    "read_plan",
]


@dataclass(frozen=True)
class Plan:
    """One frozen segment of the input: rows by shard number, and the settings they are labelled with.

    `segment` counts from 0; `num_superseded` of its rows are images that failed in an earlier one and are tried again.
    """

    shards: PlanShards
    settings: LabelingSettings
    sha256: str = field(compare=False)
    segment: int = 0
    num_superseded: int = 0

    @property
    def num_rows(self) -> int:
        """Images in all shards."""
        return len(self.shards.rows)

    def compute_shard_key(self, shard: int) -> str:
        """The sha256 of all that decides the content of a shard: settings and its rows, in order."""
        if shard not in self._shard_keys:
            rows = [(row.key, row.etag, row.size, row.labels) for row in self.shards[shard]]
            self._shard_keys[shard] = hashlib.sha256(self._settings_json + json.dumps(rows).encode()).hexdigest()
        return self._shard_keys[shard]

    @cached_property
    def _shard_keys(self) -> dict[int, str]:
        """Those computed so far."""
        return {}

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
    def shards(self) -> Mapping[int, tuple[PlanRow, ...]]:
        """Rows by shard number, over all segments."""
        if len(self.segments) == 1:
            return self.segments[0].shards
        return JoinedShards({shard: plan.shards for plan in self.segments for shard in plan.shards})

    @property
    def rows(self) -> PlanRows:
        """The rows of all segments, one segment after the other; the last one of a key is the one that counts."""
        return PlanRows.join([plan.shards.rows for plan in self.segments])

    def compute_shard_key(self, shard: int) -> str:
        """The key of a shard, as its segment computes it."""
        [plan] = [plan for plan in self.segments if shard in plan.shards]
        return plan.compute_shard_key(shard)


def freeze_plan(
    shards: Mapping[int, Iterable[PlanRow]], settings: LabelingSettings, *, segment: int = 0, num_superseded: int = 0
) -> tuple[Plan, bytes]:
    """The plan of these shards, and its object."""
    frozen = PlanShards.from_mapping(shards)
    data = encode_plan(frozen, settings, {"segment": segment, "num_superseded": num_superseded})
    return Plan(frozen, settings, hashlib.sha256(data).hexdigest(), segment, num_superseded), data


def read_plan(data: bytes) -> Plan:
    """The plan that an object of `plans/` holds; raises LabelSetError when it is damaged."""
    shards, settings, place = decode_plan(data)
    return Plan(shards, settings, hashlib.sha256(data).hexdigest(), **place)


def describe_differences(wanted: Plan, found: PlannedSet) -> list[str]:
    """What differs between a plan and a label set's, in words; empty when they ask for the same."""
    differences = wanted.settings.describe_differences(found.settings)
    if len(found.segments) == 1 and wanted.shards == found.segments[0].shards:
        return differences
    differences += compare_rows(KeyIndex.from_rows(wanted.shards.rows), KeyIndex.from_rows(found.rows))
    if not differences and len(found.segments) == 1:
        differences.append("the images are listed in another way")
    return differences
