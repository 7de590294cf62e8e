"""The manifest: which objects make up a label set, and what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dap_core.errors import LabelSetError, LabelSetMissingError, ObjectMissingError, StoreError
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry, ShardFooter
from dap_core.label_sets.timings import ShardTimings
from dap_core.stores import Store

MANIFEST_KEY = "manifest.json"
FORMAT_VERSION = 1

State = Literal["complete", "partial"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Images of a label set; `num_ok + num_failed + num_incomplete == num_planned`."""

    num_planned: int
    num_ok: int
    num_failed: int
    num_boxes: int

    @property
    def num_incomplete(self) -> int:
        """Planned images without a row and without a failure."""
        return self.num_planned - self.num_ok - self.num_failed


@dataclass(frozen=True, slots=True)
class Segment:
    """One frozen plan and the shards that were made of it, one winner per shard number.

    `num_superseded` of the planned images failed in an earlier segment; what became of them here counts.
    """

    plan_sha256: str
    num_planned: int
    shards: tuple[ShardEntry, ...]
    num_superseded: int = 0

    @property
    def plan_key(self) -> str:
        """Where the plan of this segment is stored."""
        return f"plans/{self.plan_sha256}.parquet"


@dataclass(frozen=True)
class Manifest:
    """Segments, settings and state of a label set."""

    settings: LabelingSettings
    segments: tuple[Segment, ...]

    @property
    def counts(self) -> Counts:
        """Images planned, labelled and failed, and boxes, over all segments; one that was tried again counts once."""
        num_superseded = sum(segment.num_superseded for segment in self.segments)
        footers = [entry.footer for segment in self.segments for entry in segment.shards]
        return Counts(
            num_planned=sum(segment.num_planned for segment in self.segments) - num_superseded,
            num_ok=sum(footer.num_ok for footer in footers),
            num_failed=sum(footer.num_failed for footer in footers) - num_superseded,
            num_boxes=sum(footer.num_boxes for footer in footers),
        )

    @property
    def state(self) -> State:
        """`complete` when every planned image has a row or a failure."""
        return "partial" if self.counts.num_incomplete else "complete"

    def to_json(self) -> str:
        """The manifest as stored."""
        counts = {**asdict(self.counts), "num_incomplete": self.counts.num_incomplete}
        segments = [
            {
                "plan": segment.plan_key,
                "num_planned": segment.num_planned,
                "num_superseded": segment.num_superseded,
                "shards": [_shard_to_dict(entry) for entry in segment.shards],
            }
            for segment in self.segments
        ]
        values = {
            "format": "dap-label-set",
            "version": FORMAT_VERSION,
            "state": self.state,
            "counts": counts,
            "settings": self.settings.to_dict(),
            "segments": segments,
        }
        return json.dumps(values)


def write_manifest(store: Store, manifest: Manifest) -> str:
    """Puts a manifest under its sha256, then as `manifest.json`; returns the sha256."""
    data = manifest.to_json().encode()
    sha256 = hashlib.sha256(data).hexdigest()
    store.put(f"manifests/{sha256}.json", data)
    store.put(MANIFEST_KEY, data)
    return sha256


def read_manifest(store: Store) -> tuple[Manifest, str]:
    """The newest manifest of a store and its sha256.

    Raises LabelSetMissingError when there is none, LabelSetError when it is damaged or of another version.
    """
    try:
        data = store.get(MANIFEST_KEY)
    except ObjectMissingError:
        raise LabelSetMissingError(f"{store.uri} is no label set: it has no {MANIFEST_KEY}") from None
    except StoreError as error:
        raise StoreError(f"{store.uri} cannot be read: {error}") from error
    try:
        values = json.loads(data)
        if (values["format"], values["version"]) != ("dap-label-set", FORMAT_VERSION):
            raise LabelSetError(f"{store.uri} is a {values['format']} of version {values['version']}, not 1")
        settings = LabelingSettings.from_dict(values["settings"])
        segments = tuple(_segment_from_dict(item) for item in values["segments"])
    except (KeyError, TypeError, ValueError) as error:
        raise LabelSetError(f"{MANIFEST_KEY} of {store.uri} is damaged: {error!r}") from error
    return Manifest(settings, segments), hashlib.sha256(data).hexdigest()


def _shard_to_dict(entry: ShardEntry) -> dict[str, Any]:
    timings = {"timings": asdict(entry.timings)} if entry.timings else {}
    return {"data": entry.data, "size": entry.size, **asdict(entry.footer), **timings}


def _segment_from_dict(values: dict[str, Any]) -> Segment:
    shards: Sequence[dict[str, Any]] = values["shards"]
    entries = []
    for shard in shards:
        footer = {name: shard[name] for name in ShardFooter.__dataclass_fields__}
        timings = ShardTimings(**shard["timings"]) if "timings" in shard else None
        entries.append(ShardEntry(shard["data"], shard["size"], ShardFooter(**footer), timings))
    sha256 = values["plan"].removeprefix("plans/").removesuffix(".parquet")
    return Segment(sha256, values["num_planned"], tuple(entries), values.get("num_superseded", 0))
