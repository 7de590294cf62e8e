"""How classifiers are trained (step 1): typed records, with their source in the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dap_core.errors import InputError
from dap_core.training.train_recipe import Schedule, TrainRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierRecipe(TrainRecipe):
    """Training of a classifier by cross-entropy on random crops, mirrored half of the time.

    Raises ValueError for values that make no training.
    """

    schedule: Schedule = "cosine"
    crop_size: int = 224
    """Side of the crops in pixels."""
    least_crop: float = 0.08
    """Least share of an image's area in a crop; its aspect ratio is 3/4 to 4/3."""
    mirror: bool = True
    label_smoothing: float = 0.0
    """Share of the target that is spread evenly over all classes."""
    trainable: Literal["upper", "all"] = "all"
    """`upper`: only what comes after the last map of stride 8, the rest stays as it is; for a trained start."""
    short_side: int = 256
    """Pixels of the short side of the images that the trained classifier is measured on."""

    def __post_init__(self) -> None:
        super(ClassifierRecipe, self).__post_init__()
        if min(self.crop_size, self.short_side) < 32:
            raise ValueError(f"crops and images are 32 px or more, got {self.crop_size} and {self.short_side}")
        if not 0 < self.least_crop <= 1:
            raise ValueError(f"least_crop is above 0 and at most 1, got {self.least_crop}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is 0 to below 1, got {self.label_smoothing}")


CLASSIFIER_RECIPES = {
    recipe.name: recipe
    for recipe in (
        ClassifierRecipe(
            name="classifier-in14m",
            source="section 4.1, IN-14M: batch 8192, 50 epochs (of 14,197,122 images), learning rate 3.2, cosine, "
            "weight decay 1e-5; warm-up and crops are not in the text",
            batch_size=8192,
            num_steps=86_652,
            lr=3.2,
            warmup_steps=8_665,
            weight_decay=1e-5,
        ),
        ClassifierRecipe(
            name="classifier-laptop",
            source="ours: two cores, some thousand images, from trained weights",
            batch_size=32,
            num_steps=300,
            lr=0.05,
            warmup_steps=20,
            max_gradient_norm=5.0,
            crop_size=128,
            least_crop=0.25,
            short_side=160,
        ),
    )
}


def get_classifier_recipe(name: str) -> ClassifierRecipe:
    """The recipe of that name. Raises InputError."""
    try:
        return CLASSIFIER_RECIPES[name]
    except KeyError:
        known = ", ".join(CLASSIFIER_RECIPES)
        raise InputError(f"there is no recipe {name!r} for classifiers; there are {known}") from None
