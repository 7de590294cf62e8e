"""Server-sent events of a job, read into values; without doing any input or output itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened in a job; `id` is attempt.sequence, the rest of what it says is in `values`."""

    id: str
    kind: str
    time: str
    values: Mapping[str, Any]


def read_stream(lines: Iterable[str]) -> Iterator[JobEvent]:
    """The whole events of a stream; one that was cut off is left out. Raises ValueError for what is no event."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield _read_event("\n".join(data))
            data = []


def _read_event(text: str) -> JobEvent:
    values = json.loads(text)
    if not isinstance(values, dict) or not {"id", "kind", "time"} <= set(values):
        raise ValueError(f"an event has id, kind and time, got {text[:100]!r}")
    event = {name: str(values.pop(name)) for name in ("id", "kind", "time")}
    return JobEvent(values=values, **event)
