"""Events of a job as server-sent events (WHATWG HTML, 9.2): `id` is attempt.sequence, `data` is JSON."""

from __future__ import annotations

import json
import re

from services.api.problems import ProblemError
from services.jobs.events import Event

EVENT_STREAM = "text/event-stream"
HEARTBEAT_S = 10.0
HEARTBEAT = b": still here\n\n"
RETRY = b"retry: 1000\n\n"
_START = "0.0"
_EVENT_ID = re.compile(r"[0-9]{1,9}\.[0-9]{1,12}")


def read_event_id(header: str | None) -> str:
    """The event that a caller has seen last, that before the first where it says nothing. Raises ProblemError."""
    if not header:
        return _START
    if not _EVENT_ID.fullmatch(header):
        detail = f"Last-Event-ID is attempt.sequence, such as 1.17, got {header[:60]!r}"
        raise ProblemError("invalid-parameter", detail, errors=[("#/header/last-event-id", detail)])
    return header


def write_event(event: Event) -> bytes:
    """One event as it goes out."""
    data = json.dumps({"id": event.id, "time": event.time, "kind": event.kind, **event.values})
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()
