"""How detectors are trained: one typed record for each experiment, with its source in the paper."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dap_core.errors import InputError
from dap_core.training.augment import AugmentConfig
from dap_core.training.train_recipe import DetectorRecipe

_PAPER_SIDES = AugmentConfig(short_sides=(96, 160, 320, 640))
RECIPES = {
    recipe.name: recipe
    for recipe in (
        DetectorRecipe(
            name="pretrain-paper",
            source="section 4.1, IN-1M; the learning rate is that of the authors' script, scaled to this batch",
            batch_size=32,
            num_steps=40_038,
            lr=0.004,
            augment=_PAPER_SIDES,
        ),
        DetectorRecipe(
            name="pretrain-laptop",
            full_size=False,
            trainable="auto",
            class_agnostic="auto",
            source="ours: two cores, some thousand images",
            batch_size=8,
            num_steps=600,
            lr=0.01,
            milestones=(480,),
            warmup_steps=50,
            max_gradient_norm=10.0,
            augment=AugmentConfig(short_sides=(96, 128, 160, 192, 224)),
        ),
        DetectorRecipe(
            name="finetune-voc",
            source="section 4.1, VOC07+12: 14 epochs, a tenth after 10",
            batch_size=16,
            num_steps=14_480,
            lr=0.01,
            milestones=(10_340,),
            augment=AugmentConfig(short_sides=(640,)),
        ),
        DetectorRecipe(
            name="finetune-coco",
            source="section 4.1",
            batch_size=16,
            num_steps=90_000,
            lr=0.02,
            milestones=(60_000, 80_000),
            augment=AugmentConfig(short_sides=(800,)),
        ),
        DetectorRecipe(
            name="finetune-laptop",
            full_size=False,
            source="ours: two cores, a few shots",
            batch_size=8,
            num_steps=150,
            lr=0.01,
            milestones=(120,),
            warmup_steps=20,
            max_gradient_norm=10.0,
            augment=AugmentConfig(short_sides=(224,)),
        ),
    )
}


def get_train_recipe(name: str) -> DetectorRecipe:
    """The recipe of that name. Raises InputError."""
    try:
        return RECIPES[name]
    except KeyError:
        raise InputError(f"there is no training recipe {name!r}; there are {', '.join(RECIPES)}") from None


def customise_train_recipe(recipe: DetectorRecipe, **changes: Any) -> DetectorRecipe:
    """The recipe with what is given (not None) changed; its name then ends with a star.

    When only `num_steps` changes, milestones and warm-up move with it.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        return recipe
    if "num_steps" in given:
        share = given["num_steps"] / recipe.num_steps
        given.setdefault("milestones", tuple(round(step * share) for step in recipe.milestones))
        given.setdefault("warmup_steps", min(recipe.warmup_steps, max(1, round(recipe.warmup_steps * share))))
    return replace(recipe, **given, name=f"{recipe.name.rstrip('*')}*")
