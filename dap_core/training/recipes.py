"""How detectors are trained: one typed record for each experiment, with its source in the paper."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from dap_core.errors import InputError
from dap_core.training.augment import AugmentConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """SGD with momentum, a linear warm-up and steps of the learning rate."""

    name: str
    source: str
    """Where the values come from."""
    batch_size: int
    num_steps: int
    lr: float
    milestones: tuple[int, ...] = ()
    """Steps after which the learning rate is a tenth."""
    warmup_steps: int = 1_000
    momentum: float = 0.9
    weight_decay: float = 1e-4
    max_gradient_norm: float | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def compute_lr(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return float(self.lr * warm * 0.1 ** sum(step >= milestone for milestone in self.milestones))


_PAPER_SIDES = AugmentConfig(short_sides=(96, 160, 320, 640))
RECIPES = {
    recipe.name: recipe
    for recipe in (
        TrainRecipe(
            name="pretrain-paper",
            source="section 4.1, IN-1M; the learning rate is that of the authors' script, scaled to this batch",
            batch_size=32,
            num_steps=40_038,
            lr=0.004,
            augment=_PAPER_SIDES,
        ),
        TrainRecipe(
            name="pretrain-laptop",
            source="ours: two cores, some thousand images",
            batch_size=8,
            num_steps=600,
            lr=0.01,
            milestones=(480,),
            warmup_steps=50,
            max_gradient_norm=10.0,
            augment=AugmentConfig(short_sides=(96, 128, 160, 192, 224)),
        ),
        TrainRecipe(
            name="finetune-voc",
            source="section 4.1, VOC07+12: 14 epochs, a tenth after 10",
            batch_size=16,
            num_steps=14_480,
            lr=0.01,
            milestones=(10_340,),
            augment=AugmentConfig(short_sides=(640,)),
        ),
        TrainRecipe(
            name="finetune-coco",
            source="section 4.1",
            batch_size=16,
            num_steps=90_000,
            lr=0.02,
            milestones=(60_000, 80_000),
            augment=AugmentConfig(short_sides=(800,)),
        ),
        TrainRecipe(
            name="finetune-laptop",
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


def get_train_recipe(name: str) -> TrainRecipe:
    """The recipe of that name. Raises InputError."""
    try:
        return RECIPES[name]
    except KeyError:
        raise InputError(f"there is no training recipe {name!r}; there are {', '.join(RECIPES)}") from None


def customise_train_recipe(recipe: TrainRecipe, **changes: Any) -> TrainRecipe:
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
