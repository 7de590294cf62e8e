"""How a job ended well, or in part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.jobs.records import JobState


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job made: plain JSON values; `state` is FAILED when it made nothing of use."""

    state: JobState
    result: dict[str, Any]
    message: str | None = None
