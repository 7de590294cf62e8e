"""Runs that train a detector: pre-training on pseudo boxes (step 3 of the paper), fine-tuning on drawn ones (4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from dap_core.classifiers import Classifier
from dap_core.detectors import (
    Checkpoint,
    DetectionTarget,
    Detector,
    DetectorConfig,
    TransferReport,
    make_detector,
    save_checkpoint,
)
from dap_core.stores import Store
from dap_core.training.augment import TrainingBatch
from dap_core.training.batches import BatchPlan, read_batches
from dap_core.training.runs import TrainingRun
from dap_core.training.samples import SampleSource
from dap_core.training.team import Team
from dap_core.training.train_recipe import DetectorRecipe
from dap_core.types import ClassList

_UPPER_STAGES = 2
"""`upper` leaves the stem and two stages, up to stride 8, as they are."""


def start_from_classifier(classifier: Classifier, classes: ClassList, recipe: DetectorRecipe, seed: int) -> Detector:
    """A detector over the backbone of a classifier, its other layers random by `seed`.

    The recipe's `trainable` and `class_agnostic` have to be settled. Raises ClassifierError.
    """
    torch.manual_seed(seed)
    config = _make_config(recipe)
    return make_detector(recipe.architecture, classifier, classes, config=config)


def start_from_checkpoint(
    checkpoint: Checkpoint, classes: ClassList, recipe: DetectorRecipe, seed: int
) -> tuple[Detector, TransferReport]:
    """A detector for `classes` with what the recipe takes over of a trained one, and the rest random by `seed`.

    Its architecture and sizes are those of the checkpoint, what is trained is what the recipe says; `trainable`,
    `class_agnostic` and `transferred` have to be settled. Raises CheckpointError.
    """
    if recipe.transferred == "auto":
        raise ValueError("what is taken over is to be settled first: resolve_transferred")
    torch.manual_seed(seed)
    return checkpoint.make_successor(classes, _freeze(checkpoint.config, recipe), recipe.transferred)


def go_on_with(checkpoint: Checkpoint, recipe: DetectorRecipe) -> Detector:
    """The trained detector with all its layers, to be trained further as the recipe says. Raises CheckpointError."""
    return replace(checkpoint, config=_freeze(checkpoint.config, recipe)).make_detector()


def make_detector_run(
    detector: Detector,
    source: SampleSource,
    recipe: DetectorRecipe,
    *,
    seed: int,
    parents: Mapping[str, str],
    num_decoders: int,
) -> TrainingRun[TrainingBatch]:
    """The run that trains a detector on the images of a source, decoded by `num_decoders` processes (0: this one).

    `parents` names what it starts from by sha256; they and the source's identity decide what comes of the run.
    """
    described = {
        "data": source.identity,
        "classes": [item.wnid for item in detector.classes.classes],
        "architecture": detector.architecture,
        "detector": detector.config.to_dict(),
        "parents": dict(parents),
    }

    def read(start: int, team: Team) -> Iterable[TrainingBatch]:
        plan = BatchPlan(
            batch_size=recipe.batch_size,
            start=start,
            stop=recipe.num_steps,
            seed=seed,
            rank=team.rank,
            num_ranks=team.size,
        )
        return read_batches(source, plan, recipe.augment, num_workers=num_decoders)

    save = partial(_save, detector, recipe, {**parents, "data": source.identity})
    return TrainingRun(detector, recipe, seed, described, read, compute_detector_losses, save)


def compute_detector_losses(model: nn.Module, batch: TrainingBatch) -> dict[str, Tensor]:
    """The losses of a detector on a batch, by torchvision's names."""
    device = next(model.parameters()).device
    images = [image.to(device, non_blocking=True).float().div_(255) for image in batch.images]
    targets = [
        DetectionTarget(boxes.to(device, non_blocking=True), labels.to(device, non_blocking=True))
        for boxes, labels in zip(batch.boxes, batch.labels, strict=True)
    ]
    losses: dict[str, Tensor] = model(images, targets)
    return losses


def _make_config(recipe: DetectorRecipe) -> DetectorConfig:
    config = DetectorConfig.full(recipe.architecture) if recipe.full_size else DetectorConfig()
    return _freeze(config, recipe)


def _freeze(config: DetectorConfig, recipe: DetectorRecipe) -> DetectorConfig:
    """The options with what the recipe says is trained."""
    if recipe.trainable == "auto" or recipe.class_agnostic == "auto":
        raise ValueError("what is trained is to be settled first: choose_regime")
    return replace(
        config,
        freeze_backbone=recipe.trainable == "heads",
        frozen_stages=_UPPER_STAGES if recipe.trainable == "upper" else recipe.frozen_stages,
        frozen_batch_norm=recipe.frozen_batch_norm,
        class_agnostic=recipe.class_agnostic,
    )


def _save(detector: Detector, recipe: DetectorRecipe, parents: Mapping[str, str], store: Store, step: int) -> None:
    save_checkpoint(store, "", detector, step=step, recipe=recipe.to_dict(), parents=parents)
