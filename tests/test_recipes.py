"""Named parameter sets: the paper's values, checked values, and the way to JSON and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dap_core.errors import InputError
from dap_core.mining import MiningConfig
from dap_core.passes import CamConfig
from dap_core.recipes import PAPER, RECIPES, customise_recipe, get_recipe, recipe_from_dict


def test_the_paper_recipe_holds_the_values_of_the_paper():
    """Section 4.1: short sides 288 and 576 with mirrors, thresholds 0.2 to 0.5, NMS at 0.8; 3.1: half the area."""
    assert (PAPER.cam.short_sides, PAPER.cam.mirror) == ((288, 576), True)
    assert PAPER.mining.thresholds == (0.2, 0.3, 0.4, 0.5)
    assert (PAPER.mining.nms_iou, PAPER.mining.min_area_ratio) == (0.8, 0.5)


def test_recipes_are_found_by_name():
    assert get_recipe("paper") is PAPER
    assert all(get_recipe(name).name == name for name in RECIPES)


def test_an_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="no recipe 'papre'; known: paper"):
        get_recipe("papre")


@pytest.mark.parametrize("recipe", [*RECIPES.values(), customise_recipe(PAPER, thresholds=(0.1, 0.25))], ids=str)
def test_a_recipe_survives_json(recipe):
    assert recipe_from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_a_changed_recipe_says_so_in_its_name_and_changes_nothing_else():
    changed = customise_recipe(PAPER, thresholds=(0.4,), nms_iou=1.0, short_sides=(224,))
    assert changed.name == "paper*"
    assert changed.cam == replace(PAPER.cam, short_sides=(224,))
    assert changed.mining == replace(PAPER.mining, thresholds=(0.4,), nms_iou=1.0)


def test_a_recipe_changed_twice_has_one_star():
    assert customise_recipe(customise_recipe(PAPER, nms_iou=0.5), nms_iou=0.6).name == "paper*"


def test_a_recipe_changed_to_its_own_values_keeps_its_name():
    assert customise_recipe(PAPER) is PAPER
    assert customise_recipe(PAPER, thresholds=PAPER.mining.thresholds, nms_iou=0.8) is PAPER


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thresholds": ()}, "thresholds must be"),
        ({"thresholds": (0.2, 1.0)}, "thresholds must be"),
        ({"thresholds": (-0.1,)}, "thresholds must be"),
        ({"thresholds": (float("nan"),)}, "thresholds must be"),
        ({"nms_iou": -0.1}, "NMS IoU"),
        ({"nms_iou": 1.1}, "NMS IoU"),
        ({"nms_iou": float("nan")}, "NMS IoU"),
        ({"min_area_ratio": 1.5}, "min_area_ratio"),
        ({"grid_short_side": 4}, "grid_short_side"),
        ({"connectivity": 6}, "connectivity must be 4 or 8"),
        ({"nms_order": "size"}, "nms_order"),
    ],
    ids=str,
)
def test_mining_values_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        MiningConfig(**options)


def test_the_limits_of_the_ranges_are_taken():
    MiningConfig(thresholds=(0.0, 0.999), nms_iou=0, min_area_ratio=0, grid_short_side=8)
    MiningConfig(nms_iou=1, min_area_ratio=1)
    CamConfig(short_sides=(32, 4096), mirror=False)
