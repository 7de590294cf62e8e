"""What is known of a job: its state, how far it is, and how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from dap_core.errors import JobRecordError


class JobState(StrEnum):
    """Where a job stands; one without an attempt is queued."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""States after which nothing more comes of a job, unless it is asked for."""
USABLE = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED})
"""States of a job that has made what others can build on."""
INTERRUPTED = "interrupted"
"""The message of an attempt whose process was told to stop, by its environment and not by a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressCounts:
    """How far a job is, in images and in `parts`."""

    total: int = 0
    done: int = 0
    """Those that failed among them, and what earlier runs did."""
    failed: int = 0
    failures_by_type: dict[str, int] = field(default_factory=dict)
    """Of this attempt."""
    parts: int = 0
    parts_done: int = 0
    part_name: str = "shard"
    """What a part is: a shard, or a step of training."""
    per_s: float | None = None
    """Over the last minute."""
    eta_s: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """The newest of training: loss, lr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """The state of one attempt, as its runner last wrote it; times are ISO 8601, UTC."""

    job: str
    attempt: int
    state: JobState
    started: str
    updated: str
    """The heartbeat, by the clock of the runner."""
    ended: str | None = None
    stage: str | None = None
    """What it is at, such as listing a bucket."""
    progress: ProgressCounts = field(default_factory=ProgressCounts)
    error_type: str | None = None
    message: str | None = None
    """Why it failed or was cancelled."""
    warnings: tuple[str, ...] = ()
    result: dict[str, Any] | None = None
    host: str = ""
    pid: int = 0

    def to_json(self) -> str:
        """The record as stored."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, data: bytes, place: str) -> JobRecord:
        """The record that `to_json` wrote. Raises JobRecordError when it is damaged."""
        try:
            values = json.loads(data)
            progress = ProgressCounts(**values["progress"])
            state, warnings = JobState(values["state"]), tuple(values["warnings"])
            return cls(**{**values, "state": state, "progress": progress, "warnings": warnings})
        except (KeyError, TypeError, ValueError) as error:
            raise JobRecordError(f"{place} is no record of a job: {error!r}") from error
