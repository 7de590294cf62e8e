"""How boxes are made, as one typed record: named parameter sets of mining, or what a detector finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from dap_core.errors import InputError
from dap_core.mining import MiningConfig
from dap_core.passes import CamConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to turn an image and its labels into boxes."""

    name: str
    cam: CamConfig
    mining: MiningConfig

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The values of `box_thresholds`."""
        return self.mining.thresholds

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRecipe:
    """One way to run a detector over an image; its boxes come from no map and cannot be cut again."""

    name: str = "predicted"
    short_side: int
    """Pixels."""
    mirror: bool
    batch_size: int
    """Images of a batch are padded to the largest of them, which changes boxes near the border a little."""
    score_threshold: float
    """The least score of a box that the detector gives."""
    keep_score: float | None
    """Boxes of a lower score are left out, but for the best one of each image; None keeps all."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The values of `box_thresholds`: the highest of these that the score of a box reaches."""
        return (0.0, 0.3, 0.6, 0.9)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return asdict(self)


PAPER = Recipe(name="paper", cam=CamConfig(), mining=MiningConfig())
"""The text of the paper (sections 3.1, 4.1); its open choices are explained in ADR 2."""

OFFICIAL = Recipe(
    name="official",
    cam=CamConfig(),
    mining=MiningConfig(
        merge="stacked",
        weight_bias=0.22,
        connectivity=4,
        region="rectangle",
        max_components=4,
        min_side=1,
        edge_px=1,
        nms_inclusive=True,
    ),
)
"""What the authors' released script does where it differs from the text (ADR 6)."""

ALIGNED = Recipe(
    name="aligned",
    cam=CamConfig(),
    mining=MiningConfig(thresholds=(0.12, 0.24, 0.36, 0.5), floor_percentile=10, tightness=0.6, min_area_ratio=0.3),
)
"""Ours: the passes placed as in `paper`, and what measured better against drawn boxes (ADR 6)."""

DEFAULT_RECIPE = ALIGNED
"""The recipe of `PseudoLabeler` and `dap mine` unless another is named; `docs/box-quality.md` says why."""

RECIPES = {recipe.name: recipe for recipe in (PAPER, OFFICIAL, ALIGNED)}


def get_recipe(name: str) -> Recipe:
    """The recipe called `name`; raises InputError naming the known ones."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]


def customise_recipe(
    recipe: Recipe,
    *,
    short_sides: tuple[int, ...] | None = None,
    thresholds: tuple[float, ...] | None = None,
    nms_iou: float | None = None,
) -> Recipe:
    """The recipe with some values replaced; its name then says so, because it is no longer the named one."""
    cam = recipe.cam if short_sides is None else replace(recipe.cam, short_sides=short_sides)
    mining = replace(
        recipe.mining,
        thresholds=recipe.mining.thresholds if thresholds is None else thresholds,
        nms_iou=recipe.mining.nms_iou if nms_iou is None else nms_iou,
    )
    if (cam, mining) == (recipe.cam, recipe.mining):
        return recipe
    return Recipe(name=f"{recipe.name.removesuffix('*')}*", cam=cam, mining=mining)


def recipe_from_dict(values: dict[str, Any]) -> Recipe | PredictionRecipe:
    """The recipe that `to_dict` wrote."""
    if "mining" not in values:
        return PredictionRecipe(**values)
    cam, mining = dict(values["cam"]), dict(values["mining"])
    cam["short_sides"] = tuple(cam["short_sides"])
    mining["thresholds"] = tuple(mining["thresholds"])
    return Recipe(name=values["name"], cam=CamConfig(**cam), mining=MiningConfig(**mining))
