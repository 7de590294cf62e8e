"""Jobs of kind train-classifier: a source of labelled images becomes a classifier, or a last layer for one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dap_core.class_lists import read_classes
from dap_core.training.classifier_recipe import ClassifierRecipe, get_classifier_recipe
from dap_core.training.classifier_run import continue_classifier, make_classifier_run, start_classifier
from dap_core.training.crops import ClassifierBatch
from dap_core.training.labelled_samples import LabelledSamples, collect_samples, hold_out
from dap_core.training.left_out import LeftOut
from dap_core.training.recipe_changes import change_recipe
from dap_core.training.runs import TrainingRun
from dap_core.types import ClassList
from services.classifiers import load_start_at
from services.jobs.classifier_specs import TrainClassifierSpec
from services.jobs.context import JobContext
from services.jobs.head_fitting import fit_head
from services.jobs.held_out import measure_held_out
from services.jobs.outcomes import Outcome
from services.jobs.training import choose_num_decoders, run_training
from services.sources import open_labelled_source


@dataclass(frozen=True, slots=True)
class _Data:
    """Images to train on and to measure on, and what is odd about the others."""

    train: LabelledSamples
    held_out: LabelledSamples
    warnings: tuple[str, ...]


def run_train_classifier(spec: TrainClassifierSpec, context: JobContext) -> Outcome:
    """Trains a classifier, or fits its last layer, and measures it on the images held out.

    Raises InputError of many kinds for what cannot be done, TooManyFailuresError, TrainingError, StoreError.
    """
    with context.in_stage(f"listing {spec.source[0]}"):
        data = _open_data(spec)
    for warning in data.warnings:
        context.warn(warning)
    left_out = LeftOut(len(data.train) + len(data.held_out), context.warn)
    facts = {
        "out": spec.out,
        "start": spec.start,
        "head_only": spec.head_only,
        "classes": len(data.train.classes),
        "images": len(data.train),
    }
    if spec.head_only:
        outcome, short_side = fit_head(spec, context, data.train, left_out), spec.short_side
    else:
        with context.in_stage(f"loading {spec.start}"):
            run = _make_run(spec, data.train, left_out)
        recipe = run.recipe
        assert isinstance(recipe, ClassifierRecipe)
        facts |= {"recipe": recipe.name, "network": run.settings["network"], "trainable": recipe.trainable}
        outcome, short_side = (
            run_training(spec, context, run, prepare_classifier, {}),
            spec.short_side or recipe.short_side,
        )
    accuracy = measure_held_out(spec.out, data.held_out, context, left_out, short_side=short_side, device=spec.device)
    found: dict[str, Any] = {"held_out": accuracy}
    if spec.workers is None:  # workers count their own
        found["left_out"] = len(left_out.problems)
    return replace(outcome, result={**facts, **outcome.result, **found})


def prepare_classifier(spec: TrainClassifierSpec) -> TrainingRun[ClassifierBatch]:
    """The run that a spec asks for, as every worker makes it."""
    train = _open_data(spec).train
    return _make_run(spec, train, LeftOut(len(train)))


def _open_data(spec: TrainClassifierSpec) -> _Data:
    opened = open_labelled_source(spec, spec.out)
    samples, warnings = collect_samples(opened.source, read_classes(Path(spec.classes)) if spec.classes else None)
    return _Data(*hold_out(samples, spec.holdout), (*opened.warnings, *warnings))


def _make_run(spec: TrainClassifierSpec, samples: LabelledSamples, left_out: LeftOut) -> TrainingRun[Any]:
    recipe = change_recipe(get_classifier_recipe(spec.recipe), spec.changes)
    network, classes = load_start_at(spec.start, weights=spec.weights)
    parents = {"start": network.hash_weights()}
    if classes and _list_wnids(classes) == _list_wnids(samples.classes):
        network = continue_classifier(network, classes, samples.classes)
    else:
        network = start_classifier(network, len(samples.classes), spec.seed)
    return make_classifier_run(
        network,
        samples,
        recipe,
        seed=spec.seed,
        parents=parents,
        num_decoders=choose_num_decoders(spec),
        left_out=left_out,
    )


def _list_wnids(classes: ClassList) -> list[str]:
    return sorted(item.wnid for item in classes.classes)
