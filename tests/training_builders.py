"""Small detectors in training, and what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dap_core.label_sets import LabelSet
from dap_core.stores import LocalStore, Store
from dap_core.training.augment import AugmentConfig, TrainingBatch
from dap_core.training.detector_runs import make_detector_run
from dap_core.training.loop import StepReport
from dap_core.training.runs import RunOptions, TrainingRun, claim_place, execute_run
from dap_core.training.samples import LabelSetSamples
from dap_core.training.train_recipe import DetectorRecipe
from tests.detector_builders import make_tiny_detector, make_training_images
from tests.mining_builders import make_mined_set

RECIPE = DetectorRecipe(
    name="tiny",
    source="tests",
    batch_size=4,
    num_steps=8,
    lr=0.02,
    warmup_steps=2,
    precision="float32",
    augment=AugmentConfig(short_sides=(64, 96)),
)


def make_set(folder: Path, num_images: int = 7) -> LabelSet:
    """A label set of a few images in shards of three."""
    return make_mined_set(folder, num_images=num_images, max_rows=3)


def make_run(label_set: LabelSet, recipe: DetectorRecipe = RECIPE, seed: int = 3) -> TrainingRun[TrainingBatch]:
    """A run that trains a tiny detector on a label set; the same each time."""
    samples = LabelSetSamples(label_set)
    detector = make_tiny_detector(recipe.architecture, len(samples.classes), seed=seed)
    parents = {"label_set": samples.identity}
    return make_detector_run(detector, samples, recipe, seed=seed, parents=parents, num_decoders=0)


def train(
    run: TrainingRun[TrainingBatch],
    place: Store | Path,
    *,
    stop_after: int | None = None,
    writer: str = "test",
    save_every: int = 3,
    kept_steps: tuple[int, ...] = (),
) -> list[StepReport]:
    """Runs to the end, or until so many steps are done now; returns what was reported."""
    store = LocalStore(place) if isinstance(place, Path) else place
    claim_place(store, run.describe())
    reports: list[StepReport] = []
    execute_run(
        run,
        store,
        RunOptions(writer=writer, save_every=save_every, kept_steps=kept_steps),
        on_step=reports.append,
        should_stop=lambda: len(reports) == stop_after,
    )
    return reports


def make_batches(count: int, copies: int = 1) -> list[TrainingBatch]:
    """Batches of two images each, times `copies`, the same in every step."""
    images, targets = make_training_images()
    pixels = tuple((image * 255).to(torch.uint8) for image in images) * copies
    boxes, labels = (tuple(getattr(one, name) for one in targets) * copies for name in ("boxes", "labels"))
    keys = tuple(f"image-{number}" for number in range(len(pixels)))
    return [TrainingBatch(step, keys, pixels, boxes, labels) for step in range(count)]


def read_tensors(run: TrainingRun[TrainingBatch]) -> dict[str, Tensor]:
    """A copy of the tensors of the model."""
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def list_losses(reports: Sequence[StepReport]) -> list[float]:
    """The loss of every step."""
    return [report.loss for report in reports]


def replace_recipe(**changes: object) -> DetectorRecipe:
    """The tiny recipe with other values."""
    return replace(RECIPE, **changes)  # type: ignore[arg-type]
