"""A running job on stderr: a line for what it is at, a bar, warnings; without a terminal a line now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.status import Status

from clients.cli.console import stderr, warn
from clients.cli.quantities import format_duration

if TYPE_CHECKING:
    from services.jobs.progress import Progress as JobProgress
    from services.jobs.records import ProgressCounts

_REDRAW_S, _LINE_S = 0.2, 60.0


class JobDisplay:
    """Shows a job while inside; a `services.jobs.context.Listener`."""

    def __init__(self, what: str) -> None:
        """`what` says what the bar counts, such as mining."""
        self._what = what
        self._status: Status | None = None
        self._bar: Progress | None = None
        self._shown = time.monotonic()

    def __enter__(self) -> JobDisplay:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end_status()
        if self._bar:
            self._bar.stop()

    def on_stage(self, text: str | None) -> None:
        """Shows what goes on before anything can be counted."""
        self._end_status()
        if text and not self._bar:
            self._status = stderr.status(text)
            self._status.start()

    def on_progress(self, progress: JobProgress) -> None:
        """Draws the bar, not more often than can be seen."""
        now = time.monotonic()
        interval_s = _REDRAW_S if stderr.is_terminal else _LINE_S
        if now - self._shown < interval_s and (self._bar or not stderr.is_terminal):
            return
        self._shown = now
        counts = progress.read()
        if stderr.is_terminal:
            self._draw(counts)
        else:
            stderr.print(f"{counts.done:,} of {counts.total:,} images, {describe_counts(counts)}", soft_wrap=True)

    def on_warning(self, text: str) -> None:
        """Prints a warning, above the bar."""
        warn(text)

    def _draw(self, counts: ProgressCounts) -> None:
        if self._bar is None:
            self._end_status()
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rest]}"),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=stderr, expand=True)
            self._bar.add_task(self._what, total=counts.total, rest="")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=counts.done, rest=describe_counts(counts))

    def _end_status(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


def describe_counts(counts: ProgressCounts) -> str:
    """Rate, failures, shards and time left."""
    parts = [f"{counts.per_s:.1f}/s"] if counts.per_s else []
    if counts.failed:
        parts.append(f"[red]{counts.failed:,} failed[/]")
    if counts.parts > 1:
        parts.append(f"{counts.part_name} {counts.parts_done:,}/{counts.parts:,}")
    parts += [f"{name} {value:.4g}" for name, value in counts.metrics.items()]
    if counts.eta_s:
        parts.append(f"{format_duration(counts.eta_s)} left")
    return ", ".join(parts)
