"""States of a run in a store, to go on from: `states/<step>-<writer>/`.

A state is complete when its `state.json`, written last, is there. Writers never share a name, so none can damage what
another one wrote; states of one step are equal, as a run is a pure function of its settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dap_core.checkpoints import hash_tensors
from dap_core.errors import CheckpointError
from dap_core.stores import Store
from dap_core.training.loop import Trainer
from dap_core.training.metrics import StepTable
from dap_core.training.optimizers import read_momentum, restore_momentum
from dap_core.training.team import SOLO, Team

_FOLDER = "states/"
_COMMIT, _MODEL, _MOMENTUM, _METRICS = "state.json", "model.safetensors", "momentum.safetensors", "metrics.parquet"
_FORMAT_VERSION = 1
_KEPT = 2


@dataclass(frozen=True, slots=True)
class TrainState:
    """All that a run goes on from after `step` steps; tensors by the names of the model."""

    step: int
    model: dict[str, Tensor]
    momentum: dict[str, Tensor]
    scaler: dict[str, float]
    """State of the loss scale; empty but for float16."""
    table: StepTable
    """What every step before it reported."""

    def restore(self, trainer: Trainer) -> None:
        """Puts model, momentum and loss scale of a trainer back; raises RuntimeError for another model."""
        trainer.model.load_state_dict(self.model)
        restore_momentum(trainer.model, trainer.optimizer, self.momentum)
        if self.scaler:
            trainer.scaler.load_state_dict(self.scaler)


def capture_state(trainer: Trainer, step: int, table: StepTable) -> TrainState:
    """The state of a trainer after `step` steps; its tensors are those of the trainer, not copies."""
    model = {name: value.detach() for name, value in trainer.model.state_dict().items()}
    return TrainState(step, model, read_momentum(trainer.model, trainer.optimizer), trainer.scaler.state_dict(), table)


def write_state(store: Store, state: TrainState, writer: str) -> None:
    """Commits a state, then deletes older ones but the last. Raises StoreError.

    `writer` tells writers apart, such as an attempt of a job.
    """
    prefix = f"{_FOLDER}{state.step:09d}-{writer}"
    tensors = {_MODEL: _to_cpu(state.model), _MOMENTUM: _to_cpu(state.momentum)}
    description = {
        "format_version": _FORMAT_VERSION,
        "step": state.step,
        "scaler": state.scaler,
        "sha256": {name: hash_tensors(values) for name, values in tensors.items()},
    }
    older = [(step, name) for step, name in _list_states(store) if step < state.step]
    store.delete(f"{prefix}/{_COMMIT}")
    for name, values in tensors.items():
        store.put(f"{prefix}/{name}", save(values))
    store.put(f"{prefix}/{_METRICS}", state.table.to_parquet())
    store.put(f"{prefix}/{_COMMIT}", json.dumps(description, indent=1).encode())
    kept = {step for step, _ in sorted(older)[-(_KEPT - 1) :]}
    for step, name in older:
        if step not in kept:
            _delete_state(store, name)


def find_state(store: Store, team: Team = SOLO) -> TrainState | None:
    """The newest complete state as the first worker sees it, None when there is none.

    Raises CheckpointError when it is damaged: going on from an older one would hide that; StoreError.
    """
    newest = max(_list_states(store), default=(0, ""))[1]
    prefix = team.collect([newest])[0]
    return _read_state(store, prefix) if prefix else None


def delete_states(store: Store) -> None:
    """Removes all states, as of a run that is finished. Raises StoreError."""
    for prefix in {info.key.rpartition("/")[0] for info in store.list_objects(_FOLDER)}:
        _delete_state(store, prefix)


def _list_states(store: Store) -> Iterator[tuple[int, str]]:
    """Step and prefix of the complete states."""
    for info in store.list_objects(_FOLDER):
        prefix, _, name = info.key.rpartition("/")
        if name == _COMMIT:
            yield int(prefix.removeprefix(_FOLDER).partition("-")[0]), prefix


def _read_state(store: Store, prefix: str) -> TrainState:
    description = json.loads(store.get(f"{prefix}/{_COMMIT}"))
    if description["format_version"] != _FORMAT_VERSION:
        raise CheckpointError(f"{prefix} of {store.uri} was written by another version; start anew in another place")
    tensors = {
        name: _read_tensors(store, f"{prefix}/{name}", description["sha256"][name]) for name in (_MODEL, _MOMENTUM)
    }
    table = StepTable.from_parquet(store.get(f"{prefix}/{_METRICS}"))
    return TrainState(description["step"], tensors[_MODEL], tensors[_MOMENTUM], description["scaler"], table)


def _read_tensors(store: Store, key: str, sha256: str) -> dict[str, Tensor]:
    try:
        tensors = load(store.get(key))
    except SafetensorError as error:
        raise CheckpointError(
            f"{key} of {store.uri} is damaged ({error}); delete its folder to go on from the state before"
        ) from error
    if hash_tensors(tensors) != sha256:
        raise CheckpointError(f"{key} of {store.uri} is damaged; delete its folder to go on from the state before")
    return tensors


def _delete_state(store: Store, prefix: str) -> None:
    """What makes it complete goes first."""
    for name in (_COMMIT, _MODEL, _MOMENTUM, _METRICS):
        store.delete(f"{prefix}/{name}")


def _to_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to("cpu").contiguous() for name, value in tensors.items() if isinstance(value, torch.Tensor)}
