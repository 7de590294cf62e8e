"""Jobs of kind pretrain and finetune: detectors trained on label sets and on drawn boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dap_core.classifiers import Classifier
from dap_core.datasets import write_shots
from dap_core.errors import CheckpointError, ClassifierError
from dap_core.label_sets import LabelSet
from dap_core.training.augment import TrainingBatch
from dap_core.training.detector_runs import make_detector_run, start_from_checkpoint, start_from_classifier
from dap_core.training.recipe_changes import change_recipe
from dap_core.training.recipes import get_train_recipe
from dap_core.training.regimes import resolve_regime, resolve_transferred
from dap_core.training.runs import TrainingRun
from dap_core.training.samples import AnnotatedSamples, LabelSetSamples
from dap_core.training.train_recipe import DetectorRecipe
from dap_core.types import ClassList
from services.annotated_data import AnnotatedData, open_annotated
from services.jobs.context import JobContext
from services.jobs.labelers import load_chosen_classifier
from services.jobs.outcomes import Outcome
from services.jobs.specs import ClassifierFields
from services.jobs.training import choose_num_decoders, run_training
from services.jobs.training_specs import FinetuneSpec, PretrainSpec, SelfTrainSpec, TrainFields
from services.places import open_checkpoint_at, open_label_set_at
from services.storage import open_store

_SHOTS = "shots.json"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A run, and what is worth telling of it."""

    run: TrainingRun[TrainingBatch]
    facts: dict[str, Any]


def run_pretrain(spec: PretrainSpec, context: JobContext) -> Outcome:
    """Trains a detector on a label set; every shard is held against its hash before the first step.

    Raises InputError of many kinds for what cannot be done, LabelSetError, TrainingError, StoreError.
    """
    with context.in_stage(f"reading {spec.label_set}"):
        samples = LabelSetSamples(open_label_set_at(spec.label_set))
        samples.check()
    with context.in_stage("making the detector"):
        prepared = _prepare_pretraining(spec, samples)
    if drawn_by := _describe_other_classifier(spec, samples.label_set, prepared.run.settings["parents"]["classifier"]):
        context.warn(drawn_by)
    return run_training(spec, context, prepared.run, prepare_pretraining, prepared.facts)


def run_finetune(spec: FinetuneSpec, context: JobContext) -> Outcome:
    """Trains a detector on drawn boxes; the images of a few-shot run are listed in `shots.json`.

    Raises InputError of many kinds for what cannot be done, TrainingError, StoreError.
    """
    with context.in_stage(f"reading {spec.data}"):
        data = open_annotated(spec)
    for warning in data.warnings:
        context.warn(warning)
    with context.in_stage("making the detector"):
        prepared = _prepare_finetuning(spec, data)
    outcome = run_training(spec, context, prepared.run, prepare_finetuning, prepared.facts)
    if data.shots:
        write_shots(open_store(spec.out), _SHOTS, data.shots)
    return outcome


def prepare_pretraining(spec: PretrainSpec) -> TrainingRun[TrainingBatch]:
    """The run that a spec asks for."""
    return _prepare_pretraining(spec, LabelSetSamples(open_label_set_at(spec.label_set))).run


def prepare_finetuning(spec: FinetuneSpec) -> TrainingRun[TrainingBatch]:
    """The run that a spec asks for."""
    return _prepare_finetuning(spec, open_annotated(spec)).run


def _prepare_pretraining(spec: PretrainSpec, samples: LabelSetSamples) -> _Prepared:
    recipe, reason = settle_recipe(spec, sum(samples.groups), len(samples.classes))
    classifier = _load_classifier_of(spec, samples.label_set)
    detector = start_from_classifier(classifier, samples.classes, recipe, spec.seed)
    parents = {"classifier": classifier.weights_sha256, "label_set": samples.identity}
    run = make_detector_run(
        detector, samples, recipe, seed=spec.seed, parents=parents, num_decoders=choose_num_decoders(spec)
    )
    facts = {"label_set": spec.label_set, "boxes": samples.num_boxes, "classifier": classifier.name}
    return _Prepared(run, {**describe_run(spec, run, sum(samples.groups), len(samples.classes), reason), **facts})


def _prepare_finetuning(spec: FinetuneSpec, data: AnnotatedData) -> _Prepared:
    classes = ClassList.from_pairs((name, name) for name in data.annotations.all_class_names)
    images = data.annotations.images
    samples = AnnotatedSamples(data.store, images, classes, data.identity)
    recipe, reason = settle_recipe(spec, len(images), len(classes))
    facts: dict[str, Any] = {"data": spec.data, "boxes": sum(len(image.boxes) for image in images)}
    if spec.checkpoint is not None:
        checkpoint = open_checkpoint_at(spec.checkpoint)
        agnostic = checkpoint.config.class_agnostic
        recipe, why = resolve_transferred(recipe, is_source_agnostic=agnostic, num_classes=len(classes))
        reason = "; ".join(filter(None, (reason, why)))
        detector, transfer = start_from_checkpoint(checkpoint, classes, recipe, spec.seed)
        parents = {"checkpoint": checkpoint.tensors_sha256}
        facts |= {
            "start": spec.checkpoint,
            "tensors_loaded": len(transfer.loaded),
            "tensors_skipped": list(transfer.skipped),
            "tensors_new": list(transfer.new),
        }
    else:
        classifier = load_chosen_classifier(_name_classifier(spec, spec.classifier or ""))
        detector = start_from_classifier(classifier, classes, recipe, spec.seed)
        parents = {"classifier": classifier.weights_sha256}
        facts["start"] = classifier.name
    run = make_detector_run(
        detector, samples, recipe, seed=spec.seed, parents=parents, num_decoders=choose_num_decoders(spec)
    )
    return _Prepared(run, {**describe_run(spec, run, len(images), len(classes), reason), **facts})


def settle_recipe(
    spec: PretrainSpec | FinetuneSpec | SelfTrainSpec, num_images: int, num_classes: int
) -> tuple[DetectorRecipe, str]:
    """The recipe of a job with its changes, and why it trains what it trains, where that follows from the data."""
    return resolve_regime(change_recipe(get_train_recipe(spec.recipe), spec.changes), num_images, num_classes)


def describe_run(
    spec: TrainFields, run: TrainingRun[TrainingBatch], num_images: int, num_classes: int, reason: str
) -> dict[str, Any]:
    """What is worth telling of a run, for its outcome; `reason` says why it trains what it trains."""
    recipe = run.recipe
    assert isinstance(recipe, DetectorRecipe)
    return {
        "out": spec.out,
        "recipe": recipe.name,
        "architecture": run.settings["architecture"],
        "trainable": recipe.trainable,
        "class_agnostic": recipe.class_agnostic,
        "regime": reason,
        "images": num_images,
        "classes": num_classes,
    }


def _load_classifier_of(spec: PretrainSpec, label_set: LabelSet) -> Classifier:
    """The classifier that was asked for, else the one that drew the maps, by its weights."""
    settings = label_set.manifest.settings
    if spec.classifier is not None or spec.weights is not None or spec.classes is not None:
        return load_chosen_classifier(_name_classifier(spec, spec.classifier or settings.classifier))
    try:
        classifier = load_chosen_classifier(_name_classifier(spec, settings.classifier))
    except ClassifierError as error:
        raise CheckpointError(
            f"the classifier {settings.classifier!r} of {spec.label_set} cannot be loaded ({error}); "
            "give the one that drew its maps: --classifier with the place it was trained to"
        ) from error
    if classifier.weights_sha256 != settings.weights_sha256:
        raise CheckpointError(
            f"the maps of {spec.label_set} were drawn by a {settings.classifier} with weights "
            f"{settings.weights_sha256[:12]}, the {classifier.name} at hand has {classifier.weights_sha256[:12]}; "
            "give the place it was trained to (--classifier), or its weights (--weights, --classes)"
        )
    return classifier


def _name_classifier(spec: PretrainSpec | FinetuneSpec, name: str) -> ClassifierFields:
    return ClassifierFields(classifier=name, weights=spec.weights, classes=spec.classes)


def _describe_other_classifier(spec: PretrainSpec, label_set: LabelSet, weights_sha256: str) -> str | None:
    settings = label_set.manifest.settings
    if weights_sha256 == settings.weights_sha256:
        return None
    return (
        f"the detector starts from {spec.classifier or settings.classifier} with weights {weights_sha256[:12]}; "
        f"the maps were drawn by {settings.classifier} with {settings.weights_sha256[:12]}"
    )
