"""Jobs of kind self-train: a detector labels images without boxes, and is trained further on them (table 9)."""

from __future__ import annotations

from typing import Any

from dap_core.errors import CheckpointError
from dap_core.training.augment import TrainingBatch
from dap_core.training.detector_runs import go_on_with, make_detector_run
from dap_core.training.joined_samples import JoinedSamples
from dap_core.training.runs import TrainingRun
from dap_core.training.samples import AnnotatedSamples, LabelSetSamples
from services.annotated_data import AnnotatedData, open_annotated
from services.jobs.context import JobContext
from services.jobs.detector_training import describe_run, settle_recipe
from services.jobs.evaluation_specs import PredictSpec
from services.jobs.outcomes import Outcome
from services.jobs.predicting import run_predict
from services.jobs.records import JobState
from services.jobs.specs import check_values
from services.jobs.training import choose_num_decoders, run_training
from services.jobs.training_specs import SelfTrainSpec
from services.places import open_checkpoint_at, open_label_set_at


def run_self_train(spec: SelfTrainSpec, context: JobContext) -> Outcome:
    """Labels the images, each also mirrored, then trains on them and on the drawn boxes together.

    Raises InputError of many kinds for what cannot be done, LabelSetError, TrainingError, StoreError.
    """
    asked: dict[str, Any] = {"detector": spec.checkpoint, "source": spec.images, "out": spec.labels}
    asked |= {"device": spec.device, "mirror": True, "keep_score": spec.keep_score}
    found = run_predict(check_values(PredictSpec, asked, "dap self-train"), context)
    if found.state is JobState.FAILED:
        return found
    if failed := found.result["failed"]:
        context.warn(f"{failed} of {found.result['images']} images could not be read and are left out")
    with context.in_stage("making the detector"):
        data = open_annotated(spec)
        run, facts = _prepare(spec, data)
    for warning in data.warnings:
        context.warn(warning)
    facts |= {"label_set": spec.labels, "found_boxes": found.result["boxes"], "found_images": found.result["ok"]}
    return run_training(spec, context, run, prepare_self_training, facts)


def prepare_self_training(spec: SelfTrainSpec) -> TrainingRun[TrainingBatch]:
    """The run that a spec asks for; its label set has to be there."""
    return _prepare(spec, open_annotated(spec))[0]


def _prepare(spec: SelfTrainSpec, data: AnnotatedData) -> tuple[TrainingRun[TrainingBatch], dict[str, Any]]:
    checkpoint = open_checkpoint_at(spec.checkpoint)
    _check_classes(spec, {item.wnid for item in checkpoint.classes.classes}, set(data.annotations.all_class_names))
    drawn = AnnotatedSamples(data.store, data.annotations.images, checkpoint.classes, data.identity)
    samples = JoinedSamples((drawn, LabelSetSamples(open_label_set_at(spec.labels))))
    num_images, num_classes = sum(samples.groups), len(checkpoint.classes)
    recipe, reason = settle_recipe(spec, num_images, num_classes)
    detector = go_on_with(checkpoint, recipe)
    run = make_detector_run(
        detector,
        samples,
        recipe,
        seed=spec.seed,
        parents={"checkpoint": checkpoint.tensors_sha256},
        num_decoders=choose_num_decoders(spec),
    )
    drawn_boxes = sum(len(image.boxes) for image in data.annotations.images)
    facts = {"data": spec.data, "boxes": drawn_boxes, "start": spec.checkpoint}
    return run, {**describe_run(spec, run, num_images, num_classes, reason), **facts}


def _check_classes(spec: SelfTrainSpec, known: set[str], drawn: set[str]) -> None:
    if odd := sorted(drawn - known):
        raise CheckpointError(
            f"{spec.data} has boxes of {', '.join(odd[:3])}, which the detector {spec.checkpoint} does not know "
            f"({', '.join(sorted(known))[:200]}); give the detector that was trained on this data, or --map"
        )
