"""Training as a job: in this process or by workers on Ray, told step by step, stopped cleanly, gone on with."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dap_core.engines.torch_engine import find_device
from dap_core.errors import DestinationError, InputError, JobStoppedError, TrainingError
from dap_core.training.metrics import StepTable
from dap_core.training.runs import (
    RunOptions,
    TrainingRun,
    check_kept,
    claim_place,
    execute_run,
    holds_run,
    is_finished,
    read_metrics,
)
from dap_core.training.states import delete_states
from dap_core.training.train_recipe import TrainRecipe
from services.jobs.context import JobContext
from services.jobs.gauging import DetectorGauge, make_gauge, make_step_hook
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from services.jobs.training_pool import TrainingPool
from services.jobs.training_specs import TrainFields
from services.jobs.training_watch import TrainingWatch
from services.storage import open_store

Prepare = Callable[[Any], TrainingRun[Any]]
"""Makes the run that a spec asks for; the same in every process. Importable, as workers on Ray call it too."""
_GRACE_S = 60.0
_CHOSEN = "interrupted"


def run_training(
    spec: TrainFields, context: JobContext, run: TrainingRun[Any], prepare: Prepare, facts: dict[str, Any]
) -> Outcome:
    """Trains what is not trained yet, and gives what came of it: `facts` and the figures of the steps.

    A stop, or the first interrupt, ends it after the step that is under way, with its state kept. Raises
    DestinationError when another run is in the place, JobStoppedError, KeyboardInterrupt, TrainingError, StoreError.
    """
    began = time.time()
    store = open_store(spec.out)
    if spec.resume and not holds_run(store):
        raise DestinationError(f"there is no run in {spec.out} to go on with; look at its name, or leave out --resume")
    _check_workers(spec, run.recipe)
    _check_keep(spec, run.recipe)
    gauge = make_gauge(spec, run)
    if spec.workers is None:
        find_device(spec.device)
    claim_place(store, run.describe())
    if is_finished(store):
        delete_states(store)
        check_kept(store, spec.keep)
    watch = TrainingWatch(context, run.recipe)
    if not is_finished(store):
        with _stopping_cleanly(context):
            try:
                finished = _train(spec, context, run, prepare, watch, gauge)
            except torch.OutOfMemoryError as error:
                raise TrainingError(
                    f"a batch of {run.recipe.batch_size} needs more memory than the device has; raise accumulation "
                    f"({run.recipe.accumulation}), or lower batch_size ({str(error).splitlines()[0]})"
                ) from error
        if not finished:
            if context.stop_reason == _CHOSEN:
                context.stop_reason = None  # by the user here, nobody else asked
                raise KeyboardInterrupt
            raise JobStoppedError(context.stop_reason or "it was asked to stop")
    return Outcome(JobState.SUCCEEDED, {**facts, **_describe_steps(read_metrics(store), watch, time.time() - began)})


def _check_keep(spec: TrainFields, recipe: TrainRecipe) -> None:
    if late := [step for step in spec.keep if step > recipe.num_steps]:
        raise InputError(
            f"the run has {recipe.num_steps} steps, keep asks for step {late[0]}; give steps up to its end"
        )


def _check_workers(spec: TrainFields, recipe: TrainRecipe) -> None:
    parts = (spec.workers or 1) * recipe.accumulation
    if recipe.batch_size % parts:
        raise InputError(
            f"a batch of {recipe.batch_size} cannot be shared evenly by {spec.workers or 1} workers in "
            f"{recipe.accumulation} parts; give a batch_size that {parts} divides"
        )


def choose_device(spec: TrainFields) -> str:
    """What was asked for, else a GPU if there is one."""
    return spec.device or ("cuda" if torch.cuda.is_available() else "cpu")


def choose_num_decoders(spec: TrainFields) -> int:
    """What was asked for, else enough to keep a GPU or a few cores busy."""
    if spec.decoders is not None:
        return spec.decoders
    return 4 if choose_device(spec).startswith("cuda") else 1


def _train(
    spec: TrainFields,
    context: JobContext,
    run: TrainingRun[Any],
    prepare: Prepare,
    watch: TrainingWatch,
    gauge: DetectorGauge | None,
) -> bool:
    if spec.workers is not None:
        pool = TrainingPool(spec, prepare, context.name, choose_device(spec))
        return pool.train(watch, lambda: bool(context.stop_reason))
    options = RunOptions(
        writer=context.name, device=choose_device(spec), save_every=spec.save_every, kept_steps=spec.keep
    )
    return execute_run(
        run,
        open_store(spec.out),
        options,
        on_start=lambda state: watch.begin(state.step if state else 0),
        on_step=make_step_hook(watch, gauge),
        should_stop=lambda: bool(context.stop_reason),
    )


@contextmanager
def _stopping_cleanly(context: JobContext) -> Iterator[None]:
    """The first interrupt asks the job to stop, the second one ends it at once."""
    context.grace_s, before = _GRACE_S, context.grace_s
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[signal.Signals, Any] = {}

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        context.warn("stopping after this step; interrupt once more to stop at once")
        context.stop(_CHOSEN)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            handlers[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        context.grace_s = before
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _describe_steps(table: StepTable, watch: TrainingWatch, seconds: float) -> dict[str, Any]:
    reports = table.reports
    tenth = max(1, len(reports) // 10)
    busy = sum(one.step_s for one in reports)
    waited = sum(one.wait_s for one in reports)
    return {
        "steps": len(reports),
        "steps_now": watch.num_steps,
        "first_loss": round(sum(one.loss for one in reports[:tenth]) / tenth, 4),
        "last_loss": round(sum(one.loss for one in reports[-tenth:]) / tenth, 4),
        "seconds": round(seconds, 1),
        "images_per_s": round(sum(one.num_images for one in reports) / (busy + waited), 2),
        "step_s": round(busy / len(reports), 4),
        "waiting": round(waited / (busy + waited), 4),
        "measured": watch.measured and watch.measured.to_dict(),
    }
