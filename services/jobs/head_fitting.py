"""Fitting only the last layer of a classifier: one pass over the images, then logistic regression."""

from __future__ import annotations

import time

from dap_core.classifier_checkpoints import save_classifier
from dap_core.engines import make_engine
from dap_core.errors import InputError
from dap_core.training.classifier_run import start_classifier
from dap_core.training.labelled_samples import LabelledSamples
from dap_core.training.left_out import LeftOut
from dap_core.training.linear_head import fit_linear_head
from dap_core.training.pooled_features import pool_features
from dap_core.training.runs import claim_place, is_finished
from services.classifiers import load_start_at
from services.jobs.classifier_specs import TrainClassifierSpec
from services.jobs.context import JobContext
from services.jobs.held_out import DEFAULT_SHORT_SIDE
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from services.storage import open_store


def fit_head(spec: TrainClassifierSpec, context: JobContext, samples: LabelledSamples, left_out: LeftOut) -> Outcome:
    """Fits a last layer for the classes of `samples`, unless that is done, and gives what came of it.

    Raises InputError of many kinds for what cannot be done, TooManyFailuresError, TrainingError, JobStoppedError,
    StoreError.
    """
    if spec.keep:
        raise InputError("a last layer is fitted without steps; leave out keep")
    if spec.changes:
        raise InputError(f"a last layer is fitted without a recipe; leave out {', '.join(spec.changes)}")
    began = time.time()
    store, short_side = open_store(spec.out), spec.short_side or DEFAULT_SHORT_SIDE
    with context.in_stage(f"loading {spec.start}"):
        network, _ = load_start_at(spec.start, weights=spec.weights)
        parents = {"start": network.hash_weights(), "data": samples.identity}
        recipe = {"name": "linear-head", "short_side": short_side}
        claim_place(store, {"recipe": recipe, "network": network.name, "parents": parents})
        network = start_classifier(network, len(samples.classes), spec.seed)
        engine = make_engine(network.make_classifier(samples.classes), device=spec.device)
    result = {"recipe": recipe["name"], "network": network.name, "engine": f"{engine.name} {engine.precision}"}
    if is_finished(store):
        return Outcome(JobState.SUCCEEDED, {**result, "images_now": 0, "seconds": round(time.time() - began, 1)})
    context.progress.start(len(samples), parts=1)

    def count() -> None:
        context.progress.add(1)
        context.report()

    pooled = pool_features(engine, samples, short_side, left_out, count)
    with context.in_stage("fitting"):
        head = fit_linear_head(pooled, len(samples.classes))
    network = network.replace_linear(head.to_linear())
    save_classifier(
        store, network, samples.classes, step=0, recipe={**recipe, "penalty": head.penalty}, parents=parents
    )
    seconds = time.time() - began
    result |= {"penalty": head.penalty, "images_now": len(pooled.targets), "seconds": round(seconds, 1)}
    return Outcome(JobState.SUCCEEDED, result)
