"""What of a detector is trained, and on how many classes: a rule of ours that follows how much there is to train on.

The paper trains all layers on all classes, at about 1,280 images a class, and finds that better than the heads alone
(table 3). With one image a class we measured the opposite: after 1,000 images of 1,000 classes, all layers trained, a
detector ends below one without pre-training, and after the heads alone, trained on one class, above it. Nothing between
the two is measured, so the thresholds lie on the careful side: layers that stay as they are cannot be damaged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dap_core.training.train_recipe import DetectorRecipe

MIN_IMAGES_PER_CLASS = 100
"""With fewer images a class on average, boxes are trained as one class. 1 was too few, 1,281 are enough (table 3)."""
MIN_IMAGES_UPPER = 10_000
"""With fewer images, the backbone stays as it is. 1,000 were too few to train it."""
MIN_IMAGES_ALL = 100_000
"""With fewer images, only the upper stages of the backbone are trained. 333,000 are enough for all of it (table 8)."""


Settled = Literal["heads", "upper", "all"]


@dataclass(frozen=True, slots=True)
class Regime:
    """What is trained, as a recipe names it, and why, in words for the user."""

    trainable: Settled
    class_agnostic: bool
    why_trainable: str
    why_classes: str

    @property
    def reason(self) -> str:
        """Both reasons in one sentence."""
        return f"{self.why_trainable}; {self.why_classes}"


def choose_regime(num_images: int, num_classes: int) -> Regime:
    """What to train on so many images with boxes, of so many classes; `num_classes` counts those that have an image.

    Images are counted, not boxes: the pseudo boxes of an image share its label and overlap, so they tell the classes
    apart no better than one would. Raises ValueError when there is no image or no class.
    """
    if num_images < 1 or num_classes < 1:
        raise ValueError(f"expected at least one image and one class, got {num_images} images, {num_classes} classes")
    trainable, why_trainable = _choose_trainable(num_images)
    class_agnostic, why_classes = _choose_classes(num_images, num_classes)
    return Regime(trainable, class_agnostic, why_trainable, why_classes)


def resolve_regime(recipe: DetectorRecipe, num_images: int, num_classes: int) -> tuple[DetectorRecipe, str]:
    """The recipe with `trainable` and `class_agnostic` settled by `choose_regime` where they are `auto`, and why.

    The reason speaks of what was settled alone, and is empty when nothing was open. Raises ValueError when there is no
    image or no class.
    """
    regime = choose_regime(num_images, num_classes)
    reasons = []
    if recipe.trainable == "auto":
        recipe = replace(recipe, trainable=regime.trainable)
        reasons.append(regime.why_trainable)
    if recipe.class_agnostic == "auto":
        recipe = replace(recipe, class_agnostic=regime.class_agnostic)
        reasons.append(regime.why_classes)
    return recipe, "; ".join(reasons)


def resolve_transferred(
    recipe: DetectorRecipe, *, is_source_agnostic: bool, num_classes: int
) -> tuple[DetectorRecipe, str]:
    """The recipe with `transferred` settled where it is `auto`, and why it is `localisation` where that follows.

    `is_source_agnostic` says whether the detector to start from was trained on one class, `num_classes` for how many
    the new one is. The reason is empty when all but the last layers are taken over.
    """
    if recipe.transferred != "auto":
        return recipe, ""
    if is_source_agnostic and num_classes > 1:
        reason = "it was trained on one class, so the layers that tell classes apart begin anew"
        return replace(recipe, transferred="localisation"), reason
    return replace(recipe, transferred="all"), ""


def _choose_trainable(num_images: int) -> tuple[Settled, str]:
    if num_images < MIN_IMAGES_UPPER:
        return "heads", f"{num_images:,} images are fewer than {MIN_IMAGES_UPPER:,}, so the backbone stays as it is"
    if num_images < MIN_IMAGES_ALL:
        return "upper", f"{num_images:,} images are fewer than {MIN_IMAGES_ALL:,}, so the lower backbone stays as it is"
    return "all", f"{num_images:,} images are enough to train the whole backbone"


def _choose_classes(num_images: int, num_classes: int) -> tuple[bool, str]:
    per_class = num_images / num_classes
    if num_classes == 1:
        return False, "there is one class"
    if per_class < MIN_IMAGES_PER_CLASS:
        return True, (
            f"{per_class:,.4g} images a class are fewer than {MIN_IMAGES_PER_CLASS}, so all boxes are of one class"
        )
    return False, f"{per_class:,.0f} images a class are enough to train {num_classes:,} classes"
