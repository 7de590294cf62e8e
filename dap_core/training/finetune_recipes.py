"""The recipes of step 4: fine-tuning on drawn boxes of VOC and COCO, all or few of them, longer, and self-training."""

from __future__ import annotations

import math
from typing import NamedTuple

from dap_core.datasets.few_shot import PAPER_SHOTS
from dap_core.training.recipe_entries import COMMON_VALUES, TEXT, RecipeEntry, make_entry

_BATCH = 16
_VOC07_IMAGES, _VOC12_IMAGES, _COCO_IMAGES = 5_011, 11_540, 118_000
_BOTH_VOC_IMAGES = _VOC07_IMAGES + _VOC12_IMAGES
_GENTLE = ("lr", "milestones", "warmup_steps")
_RETINANET_RATE = "convention: maskrcnn-benchmark, half the rate of Faster R-CNN"

_VOC07 = make_entry(
    "finetune-voc07",
    {
        **COMMON_VALUES,
        "batch_size": (_BATCH, f"{TEXT}: of COCO; for VOC it names none"),
        "num_steps": (4_500, f"{TEXT}: 4.5K steps, also given as 14 epochs, which at batch 16 are 4,385"),
        "lr": (0.01, TEXT),
        "milestones": ((round(4_500 * 10 / 14),), f"{TEXT}: after 10 of 14 epochs"),
        "warmup_steps": (500, "convention: maskrcnn-benchmark"),
        "augment.short_sides": ((640,), TEXT),
    },
    source="paper: table 2, figure 5",
    step="finetune",
    backbone="resnet50",
    needs="VOC07",
)
_BOTH_VOC = _VOC07.derive(
    "finetune-voc0712",
    {
        "num_steps": (
            round(14 * _BOTH_VOC_IMAGES / _BATCH),
            f"{TEXT}: 14 epochs, of 16,551 images; the 11,540 of the text are VOC12 alone, its 4.5K steps VOC07's",
        ),
        "milestones": ((round(10 * _BOTH_VOC_IMAGES / _BATCH),), f"{TEXT}: after 10 of 14 epochs"),
    },
    source="paper: table 2",
    needs="VOC07+12",
)
_COCO = _VOC07.derive(
    "finetune-coco-1x",
    {
        "batch_size": (_BATCH, TEXT),
        "num_steps": (90_000, TEXT),
        "lr": (0.02, TEXT),
        "milestones": ((60_000, 80_000), TEXT),
        "augment.short_sides": ((800,), TEXT),
    },
    source="paper: table 1, figure 5",
    needs="COCO",
)


class _ShotSource(NamedTuple):
    """Where the shots of figures 3 and 4 are drawn from."""

    entry: RecipeEntry
    """Of all the images."""
    num_images: int
    num_classes: int
    name: str
    data: str
    figure: int


def _use_retinanet(entry: RecipeEntry, name: str, table: int) -> RecipeEntry:
    values = {
        "architecture": ("retinanet", "text, section 4.3"),
        "lr": (entry.recipe.lr / 2, _RETINANET_RATE),
    }
    return entry.derive(name, values, source=f"paper: table {table}")


def _take_shots(source: _ShotSource, shots: int) -> RecipeEntry:
    """Few images of each class: fewer steps, by the square root of the share of the images (ours)."""
    share = math.sqrt(shots * source.num_classes / source.num_images)
    recipe = source.entry.recipe
    values = {
        "num_steps": (
            _round_steps(recipe.num_steps * share),
            "ours: the text tunes it and gives no value; those of all images times the root of the share of images",
        ),
        "milestones": (tuple(_round_steps(step * share) for step in recipe.milestones), "ours: after the same shares"),
        "warmup_steps": (
            min(recipe.warmup_steps, _round_steps(recipe.num_steps * share / 10)),
            "ours: at most a tenth",
        ),
    }
    name = f"finetune-{source.name}-{shots}shot"
    return source.entry.derive(
        name, values, source=f"paper: figure {source.figure}", needs=f"{source.data}, {shots}/class"
    )


def _train_longer(entry: RecipeEntry) -> RecipeEntry:
    recipe = entry.recipe
    values = {
        "num_steps": (3 * recipe.num_steps, "text, table 10: 3 times as long"),
        "milestones": (tuple(3 * step for step in recipe.milestones), "ours: after the same shares"),
    }
    return entry.derive(f"{entry.name}-3x", values, source="paper: table 10")


def _round_steps(steps: float) -> int:
    return 10 * round(steps / 10)


_SHOTS = {
    source.name: [_take_shots(source, shots) for shots in PAPER_SHOTS]
    for source in (
        _ShotSource(_BOTH_VOC, _BOTH_VOC_IMAGES, 20, "voc", "VOC07+12", 4),
        _ShotSource(_COCO, _COCO_IMAGES, 80, "coco", "COCO", 3),
    )
}
FINETUNE_ENTRIES = (
    _VOC07,
    _BOTH_VOC,
    _COCO,
    _COCO.derive(
        "finetune-coco-3x",
        {
            "num_steps": (270_000, "text, table 10: 3 times as long"),
            "milestones": ((210_000, 250_000), "convention: Detectron, the lower rates last as long as at 1x"),
        },
        source="paper: table 10",
    ),
    _use_retinanet(_VOC07, "finetune-voc07-retinanet", 7),
    _use_retinanet(_BOTH_VOC, "finetune-voc0712-retinanet", 7),
    _use_retinanet(_COCO, "finetune-coco-1x-retinanet", 6),
    *(entry for entries in _SHOTS.values() for entry in (*entries, _train_longer(entries[0]))),
    _VOC07.derive(
        "finetune-laptop",
        {
            "batch_size": (8, "ours: two cores"),
            "num_steps": (150, "ours: some minutes on two cores"),
            "lr": (0.01, "ours: that of VOC, not tuned"),
            "milestones": ((120,), "ours: after four fifths"),
            "warmup_steps": (20, "ours: an eighth"),
            "max_gradient_norm": (10.0, "ours: one bad step would spoil a short run"),
            "augment.short_sides": ((224,), "ours: the largest of pretrain-laptop"),
            "full_size": (False, "ours: that of pretrain-laptop"),
            "transferred": ("auto", "ours: follows what the detector was pre-trained on"),
        },
        source="ours: two cores, a few shots",
        backbone="lite0",
        needs="a few images",
    ),
)
_SELF_TRAINING = _VOC07.derive(
    "self-train-voc0712",
    {
        "num_steps": (round(2 * _BOTH_VOC_IMAGES / _BATCH), "text, section 4.3: 2 epochs of all 16,551 images"),
        "lr": (0.001, "ours: the rate that fine-tuning ended with; the text names none"),
        "milestones": ((), "ours: 2 epochs at one rate"),
        "warmup_steps": (0, "ours: the rate is low, and the detector trained"),
    },
    step="self-train",
    source="paper: table 9",
    needs="VOC07, and VOC12 without its boxes",
)
SELF_TRAIN_ENTRIES = (
    _SELF_TRAINING,
    FINETUNE_ENTRIES[-1].derive(
        "self-train-laptop",
        {
            "num_steps": (75, "ours: half of finetune-laptop"),
            **{name: (getattr(_SELF_TRAINING.recipe, name), _SELF_TRAINING.citations[name]) for name in _GENTLE},
        },
        step="self-train",
        source="ours: two cores, a few hundred images",
        needs="a few images, and others without boxes",
    ),
)
