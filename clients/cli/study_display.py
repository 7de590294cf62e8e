"""A running study on stderr: a bar of its jobs and the one that began last; without a terminal a line for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from clients.cli.console import stderr

if TYPE_CHECKING:
    from services.studies.steps import Step


class StudyDisplay:
    """Shows a study while inside; a `services.studies.running.StudyWatch`."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}"),
        )
        self._bars = Progress(*columns, console=stderr, disable=not stderr.is_terminal)
        self._bar: TaskID | None = None
        self._stage, self._num_steps, self._num_done = "", 0, 0

    def __enter__(self) -> StudyDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def on_stage(self, text: str, num_steps: int) -> None:
        """Begins a bar."""
        self._end_bar()
        self._stage, self._num_steps, self._num_done = text, num_steps, 0
        self._bar = self._bars.add_task(text, total=num_steps or None, step="")

    def on_step(self, step: Step, what: Literal["skipped", "begun", "done"]) -> None:
        """Moves the bar on, or says what begins."""
        assert self._bar is not None
        if what == "begun":
            self._bars.update(self._bar, step=escape(step.name))
        else:
            self._num_done += 1
            self._bars.update(self._bar, completed=self._num_done)
        if not stderr.is_terminal and what != "skipped":
            place = f"{self._num_done} of {self._num_steps}"
            stderr.print(f"{self._stage}, {place}: {what}: {step.name}", markup=False, soft_wrap=True)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bars.update(self._bar, step="")
            self._bars.stop_task(self._bar)
