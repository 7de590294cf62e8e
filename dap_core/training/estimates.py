"""How long a detector recipe takes: a rough number, scaled from one run that was timed on the same kind of machine.

The time of an image is taken to grow with the square of its short side. The architecture, the backbone and how much of
it is trained are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dap_core.training.recipe_entries import RecipeEntry
from dap_core.training.train_recipe import DetectorRecipe

_PAPER_HOURS = 1.8
_PAPER_IMAGES = 32 * 40_038
_PAPER_SIDES = (96, 160, 320, 640)
_LAPTOP_STEP_S = 0.6
_LAPTOP_BATCH = 8
_LAPTOP_SIDES = (96, 128, 160, 192, 224)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a kind of machine trains: images a second, times the mean square of their short sides in pixels."""

    machine: str
    squares_per_s: float
    source: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a recipe takes, on what, and where that comes from."""

    seconds: float
    machine: str
    source: str
    is_scaled: bool
    """Whether it is scaled from that of another recipe."""

    def describe(self) -> str:
        """The time and the machine.

        >>> Estimate(6480, "16 GPUs", "", is_scaled=False).describe()
        '1.8 h, 16 GPUs'
        >>> Estimate(810, "2 cores", "", is_scaled=True).describe()
        '~14 min, 2 cores'
        """
        time = f"{self.seconds / 3600:.1f} h" if self.seconds >= 3600 else f"{max(1, round(self.seconds / 60))} min"
        return f"{'~' if self.is_scaled else ''}{time}, {self.machine}"


def _mean_square(sides: Sequence[int]) -> float:
    return sum(side**2 for side in sides) / len(sides)


PAPER_RATE = Rate(
    "16 GPUs",
    _PAPER_IMAGES * _mean_square(_PAPER_SIDES) / (3600 * _PAPER_HOURS),
    "scaled from the text's 1.8 h for pretrain-in1m-r50",
)
"""Section 4.1: Faster R-CNN with ResNet-50, one epoch of IN-1M; of recipes of full size."""
LAPTOP_RATE = Rate(
    "2 cores",
    _LAPTOP_BATCH * _mean_square(_LAPTOP_SIDES) / _LAPTOP_STEP_S,
    "scaled from 0.6 s for a step of pretrain-laptop, the backbone frozen, in bfloat16",
)
"""Ours: Faster R-CNN over lite0 in bfloat16 on 2 cores of an AMD EPYC; of recipes of the smaller size."""


def estimate_time(entry: RecipeEntry) -> Estimate:
    """The time of a recipe: the text's own where it has one."""
    if entry.published_hours is not None:
        return Estimate(3600 * entry.published_hours, PAPER_RATE.machine, "text, section 4.1", is_scaled=False)
    return scale_time(entry.recipe)


def scale_time(recipe: DetectorRecipe) -> Estimate:
    """The time of a recipe, whatever was changed in it, by its images and their size."""
    rate = PAPER_RATE if recipe.full_size else LAPTOP_RATE
    squares = recipe.batch_size * recipe.num_steps * _mean_square(recipe.augment.short_sides)
    return Estimate(squares / rate.squares_per_s, rate.machine, rate.source, is_scaled=True)
