"""The kinds of jobs there are: what each asks for, and what runs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dap_core.errors import InputError
from services.jobs.classifier_specs import TrainClassifierSpec
from services.jobs.evaluation_specs import EvaluateSpec, PredictSpec
from services.jobs.specs import ExportSpec, JobSpec, MineSpec, RecutSpec, check_values
from services.jobs.training_specs import FinetuneSpec, PretrainSpec, SelfTrainSpec

if TYPE_CHECKING:
    from services.jobs.runner import RunKind


@dataclass(frozen=True, slots=True)
class _Kind:
    spec: type[JobSpec]
    module: str
    """Imported only when a job runs, as it is heavy."""
    function: str


_KINDS = {
    "mine": _Kind(MineSpec, "services.jobs.mining", "run_mine"),
    "recut": _Kind(RecutSpec, "services.jobs.recutting", "run_recut"),
    "export": _Kind(ExportSpec, "services.jobs.exporting", "run_export"),
    "train-classifier": _Kind(TrainClassifierSpec, "services.jobs.classifier_training", "run_train_classifier"),
    "pretrain": _Kind(PretrainSpec, "services.jobs.detector_training", "run_pretrain"),
    "self-train": _Kind(SelfTrainSpec, "services.jobs.self_training", "run_self_train"),
    "finetune": _Kind(FinetuneSpec, "services.jobs.detector_training", "run_finetune"),
    "evaluate": _Kind(EvaluateSpec, "services.jobs.evaluating", "run_evaluate"),
    "predict": _Kind(PredictSpec, "services.jobs.predicting", "run_predict"),
}
KINDS: dict[str, type[JobSpec]] = {name: kind.spec for name, kind in _KINDS.items()}


def find_runner(spec: JobSpec) -> RunKind:
    """The code that does what a spec asks for."""
    kind = _KINDS[spec.kind]
    run: RunKind = getattr(import_module(kind.module), kind.function)
    return run


def parse_spec(text: str | bytes, place: str = "the job") -> JobSpec:
    """The spec that a JSON text holds. Raises InputError naming each field, what was expected and what came."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"{place} is no JSON: {error}") from error
    return make_spec(values, place)


def make_spec(values: Any, place: str = "the job") -> JobSpec:
    """The spec of plain values. Raises InputError naming each field, what was expected and what came."""
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind not in KINDS:
        expected = f'expected a record with "kind": one of {", ".join(KINDS)}'
        raise InputError(f"{place}: {expected}, got {kind!r}" if isinstance(values, dict) else f"{place}: {expected}")
    return check_values(KINDS[kind], values, place)
