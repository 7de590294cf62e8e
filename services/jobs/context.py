"""What a running job tells, and is told: stages, progress, warnings, events; to stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from dap_core.errors import JobStoppedError
from services.jobs.events import EventLog
from services.jobs.progress import Progress


class Listener(Protocol):
    """Who watches a job in the same process, such as a progress bar."""

    def on_stage(self, text: str | None) -> None:
        """A stage begins, or ends (None)."""
        ...

    def on_progress(self, progress: Progress) -> None:
        """Counts have changed."""
        ...

    def on_warning(self, text: str) -> None:
        """Something is odd and the job goes on."""
        ...


class _Silent:
    """A listener that does nothing."""

    def on_stage(self, text: str | None) -> None:
        """Nothing."""

    def on_progress(self, progress: Progress) -> None:
        """Nothing."""

    def on_warning(self, text: str) -> None:
        """Nothing."""


class JobContext:
    """Passed to the code of a job; its calls are cheap, nothing is written in them."""

    def __init__(self, events: EventLog, listener: Listener | None = None, *, name: str = "job") -> None:
        """`name` tells this attempt of this job from every other."""
        self.name = name
        self.grace_s = 2.0
        """How long the job may take to stop by itself before it is interrupted, in seconds."""
        self.progress = Progress()
        self.stage: str | None = None
        self.warnings: list[str] = []
        self._events, self._listener = events, listener or _Silent()
        self.stop_reason: str | None = None
        """Why the job is to stop."""

    @contextmanager
    def in_stage(self, text: str) -> Iterator[None]:
        """What goes on inside is told as `text`, such as listing a bucket."""
        self.stage = text
        self.add_event("stage", text=text)
        self._listener.on_stage(text)
        try:
            yield
        finally:
            self.stage = None
            self._listener.on_stage(None)

    def warn(self, text: str) -> None:
        """Something is odd; the job goes on."""
        self.warnings.append(text)
        self.add_event("warning", text=text)
        self._listener.on_warning(text)

    def add_event(self, kind: str, **values: Any) -> None:
        """Notes that something happened."""
        self._events.add(format_now(), kind, values)

    def show(self) -> None:
        """Call after each change of `progress`, where stopping is seen to elsewhere."""
        self._listener.on_progress(self.progress)

    def report(self) -> None:
        """Call after each change of `progress`. Raises JobStoppedError when the job is to stop."""
        self.show()
        self.check()

    def check(self) -> None:
        """Raises JobStoppedError when the job is to stop."""
        if self.stop_reason:
            raise JobStoppedError(self.stop_reason)

    def stop(self, reason: str) -> None:
        """Tells the job to stop at the next `check`."""
        self.stop_reason = reason


def format_now() -> str:
    """The time as ISO 8601 with milliseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
