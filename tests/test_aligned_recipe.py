"""What recipe `aligned` adds to the paper's equations, solved by hand."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dap_core import PseudoLabeler
from dap_core.datasets import open_source, read_annotations
from dap_core.evaluation import compare_overlaps, map_classes, match_truth, measure_overlaps
from dap_core.label_sets import open_label_set
from dap_core.label_sets.recutting import ShardRecutter, plan_recut
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.merging import normalise_map
from dap_core.mining import MiningConfig, cut_boxes, mine_boxes
from dap_core.recipes import ALIGNED, DEFAULT_RECIPE, OFFICIAL, PAPER, RECIPES, Recipe
from dap_core.stores import LocalStore
from tests.builders import cover_image, make_cam, make_map, make_smooth_map
from tests.mining_builders import mine_source


def test_a_percentile_of_the_cells_counts_as_zero_and_what_is_below_is_lifted():
    """0, 1, ... 10: the 20th percentile is 2, so v becomes (v - 2) / 8, at least 0."""
    values = np.arange(11, dtype=np.float32).reshape(1, 11)
    expected = np.maximum(np.arange(11) - 2, 0) / 8
    np.testing.assert_allclose(normalise_map(values, 20), expected[None], atol=1e-6)
    np.testing.assert_allclose(normalise_map(values, 0), values / 10, atol=1e-6)


def test_a_map_whose_percentile_is_its_highest_value_keeps_its_lowest_as_zero():
    """One cell of 0 among 99 of 1: the 10th percentile is 1, which would leave nothing."""
    values = np.ones((10, 10), np.float32)
    values[3, 4] = 0
    np.testing.assert_array_equal(normalise_map(values, 10), values)


@pytest.mark.parametrize(("tightness", "width"), [(0.0, sqrt(24)), (0.5, (5 + sqrt(24)) / 2), (1.0, 5.0)])
def test_a_box_lies_between_eqs_3_to_6_and_the_bounding_rectangle(tightness: float, width: float):
    """A flat block of 5 x 5 cells: sqrt(24) by the equations, 5 as a rectangle; the centre is the same."""
    config = MiningConfig(thresholds=(0.2,), tightness=tightness)
    [box] = cut_boxes(cover_image(make_map((12, 20), (3, 2, 8, 7))), 0, (20, 12), config).boxes
    np.testing.assert_allclose(box, [5.5 - width / 2, 4.5 - width / 2, 5.5 + width / 2, 4.5 + width / 2], atol=1e-5)


def test_a_heavy_end_pulls_the_box_less_the_tighter_it_is():
    """Cells 0.4 and 0.8 in a row, 4 to 6: mean 4.5 + 2/3, variance 2/9; half-way to the rectangle's 5 and 2."""
    values = np.zeros((6, 10), np.float32)
    values[2:4, 4], values[2:4, 5] = 0.4, 0.8
    config = MiningConfig(thresholds=(0.2,), tightness=0.5)
    [box] = cut_boxes(cover_image(values), 0, (10, 6), config).boxes
    centre, width = (5 + 4.5 + 2 / 3) / 2, (2 + sqrt(12 * 2 / 9)) / 2
    np.testing.assert_allclose(box[[0, 2]], [centre - width / 2, centre + width / 2], atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_tightness_moves_every_box_in_a_straight_line(seed: int, share: float):
    merged = cover_image(make_smooth_map((40, 60), seed))
    merged = merged._replace(values=np.clip(merged.values, 0, 1))
    loose, tight, between = (
        cut_boxes(merged, 0, (60, 40), MiningConfig(tightness=value, grid_short_side=40)).boxes
        for value in (0, 1, share)
    )
    if len(loose) == len(tight) == len(between):  # one cell wide: no extent by the equations
        inside = (loose > 0).all(axis=1) & (loose[:, 2] < 60) & (loose[:, 3] < 40)  # not clipped
        expected = (1 - share) * loose + share * tight
        np.testing.assert_allclose(between[inside], expected[inside], atol=1e-3)


def test_aligned_is_the_default_and_runs_the_passes_of_the_paper():
    assert DEFAULT_RECIPE is ALIGNED
    assert ALIGNED.cam == PAPER.cam == OFFICIAL.cam
    assert list(RECIPES) == ["paper", "official", "aligned"]


@pytest.mark.parametrize("values", [np.ones((9, 12)), np.full((9, 12), np.nan)], ids=["flat", "nan"])
def test_a_map_that_says_nothing_gives_no_box(values):
    cam = make_cam(values, size_wh=(400, 300))
    [(_, reason)] = mine_boxes([cam], (400, 300), ALIGNED.mining).no_box_reasons
    assert reason in ("flat-map", "not-finite")


@pytest.mark.soak
@pytest.mark.real_data
def test_aligned_finds_more_kangaroos_than_the_others(data_dir: Path, tmp_path: Path):
    """Twelve photographs; the page on box quality has all of them. A gain of 10 points shows even here."""
    truth = read_annotations(data_dir / "kangaroo")
    paths = sorted((data_dir / "kangaroo" / "images").iterdir())[::13]
    source = open_source(paths, ["wallaby"])
    mine_source(PseudoLabeler(recipe=PAPER), source, LocalStore(tmp_path / "paper"))
    mined = open_label_set(tmp_path / "paper")

    def measure(recipe: Recipe):
        destination = LocalStore(tmp_path / f"cut-{recipe.name}")
        plan = start_label_set(destination, *plan_recut(mined, recipe, keep_images=False))
        run_plan(destination, plan, ShardRecutter(mined, destination, recipe, keep_images=False))
        label_set = open_label_set(destination)
        classes = map_classes(truth, label_set.classes, {"kangaroo": ("wallaby",)})
        return measure_overlaps(label_set, match_truth(label_set, truth, classes))

    ours = measure(ALIGNED)
    for other in (PAPER, OFFICIAL):
        gains = {one.name: one.value for one in compare_overlaps(ours, measure(replace(other)))}
        assert gains["max_box_acc_v2_own"] > 0
        assert gains["average_recall"] > 0
