"""Images made on the spot: as few as a study runs on, to see that it does, or enough of them to see the effect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dap_core.datasets import make_synthetic_set
from dap_core.stores import LocalStore
from services.jobs.specs import DataFields, RecipeFields, SourceFields
from services.studies.study import Downstream, Probe, SelfTraining, Start, Training
from services.studies.study_data import StudyData

_SMALL, _OTHER_SMALL = "timm/test_resnet", "timm/test_efficientnet"
_PARTS: tuple[tuple[str, Literal["classification", "detection"]], ...] = (
    ("labelled", "classification"),
    ("fewer", "classification"),
    ("probe", "classification"),
    ("drawn", "detection"),
    ("validation", "detection"),
    ("test", "detection"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSizes:
    """How much of everything; the defaults are the smallest that runs."""

    network: str | None = None
    """A trained network whose last layer is fitted to the classes; None is a small one with random weights."""
    num_classes: int = 2
    num_labelled: int = 24
    num_drawn: int = 8
    num_test: int = 4
    size_wh: tuple[int, int] = (128, 96)
    mining_sides: tuple[int, ...] = (96,)
    thresholds: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7)
    short_side: int = 64
    batch_size: int = 2
    pretrain_steps: int = 2
    steps: tuple[int, ...] = (1, 2)
    seeds: tuple[int, ...] = (0,)
    shots: tuple[int, ...] = (1,)


def make_synthetic_data(folder: Path, sizes: SyntheticSizes | None = None) -> StudyData:
    """The data, made below `folder` once."""
    sizes = sizes or SyntheticSizes()
    numbers = {"labelled": sizes.num_labelled, "drawn": sizes.num_drawn}
    for seed, (name, kind) in enumerate(_PARTS, 1):
        if not (folder / name / "annotations.json").exists():
            number = numbers.get(name, sizes.num_test)
            make_synthetic_set(
                LocalStore(folder / name),
                num_images=number,
                seed=seed,
                kind=kind,
                size_wh=sizes.size_wh,
                num_classes=sizes.num_classes,
            )
    labelled = SourceFields(source=(str(folder / "labelled" / "images"),))
    classes = str(folder / "labelled" / "classes.csv")
    return StudyData(
        name="synthetic",
        labelled=labelled,
        fewer_labelled=SourceFields(source=(str(folder / "fewer" / "images"),)),
        mining=RecipeFields(short_sides=sizes.mining_sides, thresholds=sizes.thresholds),
        pretraining=_train("pretrain-laptop", sizes, sizes.pretrain_steps),
        start=_make_start(sizes.network, _SMALL, classes, labelled),
        other_starts=(_make_start(sizes.network and "lite1", _OTHER_SMALL, classes, labelled),),
        downstream=(_make_downstream(folder, sizes),),
        seeds=sizes.seeds,
        drawn=_open_part(folder, "drawn"),
        probe=Probe(name="synthetic", test=_open_part(folder, "probe"), short_side=sizes.short_side),
        self_training=SelfTraining(
            training=_train("self-train-laptop", sizes, sizes.steps[-1]), steps=sizes.steps[-1:]
        ),
        curve_steps=sizes.steps,
        caveats=("All images are synthetic: textured objects before cluttered backgrounds.",),
    )


def _make_start(network: str | None, small: str, classes: str, labelled: SourceFields) -> Start:
    if network is not None:
        return Start(classifier=network, classes=classes, fitted_to=labelled)
    changes = {"num_steps": "2", "batch_size": "4", "crop_size": "48", "short_side": "64", "warmup_steps": "0"}
    fitting = Training(recipe="classifier-laptop", changes=changes)
    return Start(classifier=small, weights="random", classes=classes, fitted_to=labelled, fitting=fitting)


def _make_downstream(folder: Path, sizes: SyntheticSizes) -> Downstream:
    return Downstream(
        name="synthetic",
        train=_open_part(folder, "drawn"),
        validation=_open_part(folder, "validation"),
        test=_open_part(folder, "test"),
        shots=sizes.shots,
        steps=sizes.steps,
        finetuning=_train("finetune-laptop", sizes, sizes.steps[-1]),
        unlabelled=(str(folder / "drawn" / "images"),),
    )


def _open_part(folder: Path, name: str) -> DataFields:
    return DataFields(data=str(folder / name / "annotations.json"), shots=None)


def _train(recipe: str, sizes: SyntheticSizes, num_steps: int) -> Training:
    changes = {
        "num_steps": str(num_steps),
        "milestones": str(max(1, num_steps * 4 // 5)),
        "warmup_steps": str(num_steps // 8),
        "batch_size": str(sizes.batch_size),
        "augment.short_sides": str(sizes.short_side),
    }
    if recipe.startswith("self-train"):
        del changes["milestones"], changes["warmup_steps"]
    return Training(recipe=recipe, changes=changes)
