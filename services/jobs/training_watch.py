"""What a training job tells of its steps: progress at once, the curve of the loss every few seconds as events."""

from __future__ import annotations

import time

from dap_core.training.loop import StepReport
from dap_core.training.train_recipe import TrainRecipe
from services.jobs.context import JobContext
from services.jobs.gauging import Measurement

_EVENT_S = 5.0


class TrainingWatch:
    """Hears of every step, in order; a run that goes on from a state begins again at its step."""

    def __init__(self, context: JobContext, recipe: TrainRecipe) -> None:
        self._context, self._recipe = context, recipe
        self._waiting: list[StepReport] = []
        self._told = time.monotonic()
        self._next: int | None = None
        self.num_steps = 0
        """Steps heard of, repeated ones among them."""
        self.measured: Measurement | None = None
        """The newest measurement, where the detector is measured."""

    def begin(self, step: int) -> None:
        """The run begins, or goes on, at a step."""
        progress, recipe = self._context.progress, self._recipe
        if self._next is None:
            progress.start(recipe.num_steps * recipe.batch_size, parts=recipe.num_steps, part_name="step")
            progress.resume(step * recipe.batch_size, 0, parts=step)
        else:
            repeated = self._next - step
            progress.add(-repeated * recipe.batch_size, parts=-repeated)
        self._next = step
        self._context.add_event("training", step=step, num_steps=recipe.num_steps)

    def add(self, report: StepReport) -> None:
        """One step is done."""
        self._next = report.step + 1
        self.num_steps += 1
        self._context.progress.add(report.num_images, parts=1)
        measured = {} if self.measured is None or self.measured.ap is None else {"ap": self.measured.ap}
        self._context.progress.set_metrics({"loss": report.loss, "lr": report.lr, **measured})
        self._context.show()
        self._waiting.append(report)
        is_last = report.step + 1 == self._recipe.num_steps
        if is_last or time.monotonic() - self._told >= _EVENT_S:
            self._tell()

    def measure(self, measured: Measurement) -> None:
        """The detector was measured."""
        self.measured = measured
        self._context.add_event("measured", **measured.to_dict())
        self._context.show()

    def _tell(self) -> None:
        """The means of the steps since the last event."""
        reports = self._waiting
        names = dict.fromkeys(name for one in reports for name in one.losses)
        self._context.add_event(
            "metrics",
            step=reports[-1].step + 1,
            loss=_mean([one.loss for one in reports]),
            losses={name: _mean([one.losses.get(name, 0.0) for one in reports]) for name in names},
            lr=reports[-1].lr,
            step_s=_mean([one.step_s for one in reports]),
            wait_s=_mean([one.wait_s for one in reports]),
        )
        self._waiting = []
        self._told = time.monotonic()


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 6)
