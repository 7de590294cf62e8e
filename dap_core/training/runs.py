"""A whole training run into a store: what it is made with, its states, its metrics, what it ends with.

run.json          what the run is a pure function of; another run in the same place is refused
states/           to go on from after any kill; gone when the run is finished
steps/<step>/     the model after a step that was to be kept, as at the end
metrics.parquet   every step
checkpoint.json, model.safetensors   the trained model
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import nn

from dap_core.errors import DestinationError, ObjectMissingError
from dap_core.model_descriptions import CHECKPOINT_NAME
from dap_core.stores import Store, SubStore
from dap_core.training.loop import Batch, ComputeLosses, StepReport, make_trainer
from dap_core.training.metrics import StepTable
from dap_core.training.optimizers import make_optimizer
from dap_core.training.states import TrainState, capture_state, delete_states, find_state, write_state
from dap_core.training.team import SOLO, Team
from dap_core.training.train_recipe import TrainRecipe

B = TypeVar("B", bound=Batch)
_RUN, _METRICS = "run.json", "metrics.parquet"


@dataclass(frozen=True)
class TrainingRun(Generic[B]):
    """What is trained, on what, and how it is kept."""

    model: nn.Module
    """With its start weights; its tensors have the same names in every run."""
    recipe: TrainRecipe
    seed: int
    settings: dict[str, Any]
    """Plain JSON values that, with recipe and seed, decide what comes of the run: data, start weights, classes."""
    read_batches: Callable[[int, Team], Iterable[B]]
    """This worker's batches from a step on."""
    compute_losses: ComputeLosses[B]
    save_model: Callable[[Store, int], None]
    """Writes the model as it is after so many steps; `checkpoint.json` last."""

    def describe(self) -> dict[str, Any]:
        """All that decides what comes of the run."""
        return {"recipe": self.recipe.to_dict(), "seed": self.seed, **self.settings}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where and how a run goes on; nothing of it changes what comes of it but the number of workers."""

    writer: str
    """Tells those apart that write into the same place, such as an attempt of a job."""
    device: str = "cpu"
    team: Team = SOLO
    save_every: int = 100
    """Steps between states."""
    kept_steps: tuple[int, ...] = ()
    """Steps after which the model is written, too, below `steps/`."""


def holds_run(store: Store) -> bool:
    """Whether a run was begun in this place."""
    return any(info.key == _RUN for info in store.list_objects(_RUN))


def is_finished(store: Store) -> bool:
    """Whether a run in this place has come to its end."""
    return any(info.key == CHECKPOINT_NAME for info in store.list_objects(CHECKPOINT_NAME))


def name_kept(step: int) -> str:
    """Where a run keeps its model after a step, below its own place."""
    return f"steps/{step}"


def check_kept(store: Store, steps: Iterable[int]) -> None:
    """Raises DestinationError when the run in this place has gone past one of these steps without keeping its model."""
    there = {info.key for info in store.list_objects("steps/")}
    missing = [step for step in steps if f"{name_kept(step)}/{CHECKPOINT_NAME}" not in there]
    if missing:
        raise DestinationError(
            f"the run in {store.uri} is past step {missing[0]} and has not kept its model there; "
            "give another place to train again, or leave the step out of keep"
        )


def read_metrics(store: Store) -> StepTable:
    """Every step of a finished run. Raises ObjectMissingError, StoreError."""
    return StepTable.from_parquet(store.get(_METRICS))


def claim_place(store: Store, description: dict[str, Any]) -> None:
    """Writes what a run is made with, or finds that it is the run which is there.

    Raises DestinationError naming the values that differ when another run is there, or something else; StoreError.
    """
    try:
        there = json.loads(store.get(_RUN))
    except ObjectMissingError:
        if next(iter(store.list_objects()), None) is not None and not holds_run(store):
            raise DestinationError(
                f"{store.uri} holds something else than a training run; give another place"
            ) from None
        store.put(_RUN, json.dumps(description, indent=1).encode())
        return
    wanted = json.loads(json.dumps(description))
    if differences := list(_list_differences(wanted, there)):
        raise DestinationError(
            f"{store.uri} holds a run that was started differently: {'; '.join(differences)}; "
            "give another place, or the values it was started with"
        )


def execute_run(
    run: TrainingRun[B],
    store: Store,
    options: RunOptions,
    *,
    on_start: Callable[[TrainState | None], None] = lambda _state: None,
    on_step: Callable[[StepReport], None] = lambda _report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Trains to the end from the newest state, and whether it came to the end or was asked to stop.

    The place has to be claimed. Every worker of a team calls it; the first writes. When it is to stop, a state is
    written first, so nothing is lost. Raises DestinationError when it is past a step to
    keep, TrainingError, and what reading the batches raises.
    """
    team = options.team
    model = run.model.to(options.device).train()
    trainer = make_trainer(
        model, run.recipe, make_optimizer(model, run.recipe), device=options.device, seed=run.seed, team=team
    )
    state = find_state(store, team)
    table = state.table if state else StepTable()
    start = state.step if state else 0
    if state:
        check_kept(store, [step for step in options.kept_steps if step <= start])
        state.restore(trainer)
    on_start(state)
    saved, done, stopped = start, start, False
    for report in trainer.run(run.read_batches(start, team), run.compute_losses):
        table.add(report)
        on_step(report)
        done = report.step + 1
        stopped = team.is_any(should_stop()) and done < run.recipe.num_steps
        if team.rank == 0 and done in options.kept_steps:
            run.save_model(SubStore(store, name_kept(done)), done)
        if team.rank == 0 and (stopped or done - saved >= options.save_every) and done < run.recipe.num_steps:
            write_state(store, capture_state(trainer, done, table), options.writer)
            saved = done
        if stopped:
            return False
    if team.rank == 0:
        store.put(_METRICS, table.to_parquet())
        run.save_model(store, run.recipe.num_steps)
        delete_states(store)
    return True


def _list_differences(ours: dict[str, Any], theirs: dict[str, Any], path: str = "") -> Iterable[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name), theirs.get(name)
        if isinstance(mine, dict) and isinstance(other, dict):
            yield from _list_differences(mine, other, f"{path}{name}.")
        elif mine != other:
            yield f"{path}{name} is {_shorten(mine)}, was {_shorten(other)}"


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
