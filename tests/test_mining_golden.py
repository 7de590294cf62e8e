"""Mining solved by hand from the paper's equations. Never copy our own output into this file.

Cells are one pixel: cell i covers [i, i + 1), its centre is i + 0.5. For n equal neighbours the variance is
(n^2 - 1) / 12, so eq. 5 makes a flat block sqrt(n^2 - 1) cells wide.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from dap_core.mining import MiningConfig, cut_boxes, merge_cams, mine_boxes, suppress_boxes
from dap_core.types import FloatArray, PseudoBoxes
from tests.builders import cover_image, make_boxes, make_cam, make_map


def cut(merged: FloatArray, *thresholds: float, **options: Any) -> PseudoBoxes:
    config = MiningConfig(thresholds=thresholds or (0.2,), **options)
    return cut_boxes(cover_image(merged), 0, (merged.shape[1], merged.shape[0]), config)


def from_centre(x: float, y: float, width: float, height: float) -> list[float]:
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def assert_boxes(found: PseudoBoxes, *expected: list[float]) -> None:
    np.testing.assert_allclose(found.boxes, np.array(expected).reshape(-1, 4), atol=1e-4)


def test_eq_1_brings_a_map_to_0_and_1():
    """-10, -9, ... 53 on 8x8 cells: (v + 10) / 63."""
    values = np.arange(-10, 54, dtype=np.float32).reshape(8, 8)
    merged = merge_cams([make_cam(values)], (8, 8), MiningConfig(grid_short_side=8))
    np.testing.assert_allclose(merged.values, (values + 10) / 63, atol=1e-5)


def test_eq_1_comes_after_the_mean_over_passes():
    """Peaks 4 and 2 in two passes: means 2 and 1, highest 2, so 1 and 1/2. Normalising first would give 1 and 1."""
    first, second = make_map((8, 8), (1, 1, 2, 2), value=4), make_map((8, 8), (5, 6, 6, 7), value=2)
    merged = merge_cams([make_cam(first), make_cam(second, mirrored=True)], (8, 8), MiningConfig(grid_short_side=8))
    np.testing.assert_allclose(merged.values, first / 4 + second / 4, atol=1e-5)


def test_a_coarse_map_is_read_linearly_between_its_cell_centres_and_held_beyond_them():
    """Cells 0 and 1 at x = 4 and 12: samples at 0.5, 1.5, ... are 0 up to x = 4, then (x - 4) / 8, then 1."""
    values = np.tile(np.array([[0.0, 1.0]], np.float32), (2, 1))
    merged = merge_cams([make_cam(values, size_wh=(16, 16))], (16, 16), MiningConfig(grid_short_side=16))
    x = np.arange(16) + 0.5
    np.testing.assert_allclose(merged.values, np.tile((np.clip((x - 4) / 8, 0, 1) - 0) / 1, (16, 1)), atol=1e-5)


def test_eq_2_is_strict_so_a_cell_at_the_threshold_is_out():
    """A 3x3 block of 1 in a ring of exactly 1/2: at tau 1/2 the block alone, sqrt(9 - 1) = 2.828 wide."""
    merged = make_map((9, 9), (2, 2, 7, 7), value=0.5)
    merged[3:6, 3:6] = 1
    assert_boxes(cut(merged, 0.5), from_centre(4.5, 4.5, sqrt(8), sqrt(8)))


def test_eq_2_holds_in_float32_for_thresholds_that_binary_cannot_say():
    """Cells of float32(0.2) are out at tau 0.2, the next larger number is in."""
    at = make_map((8, 8), (1, 1, 4, 4), value=np.float32(0.2))
    above = make_map((8, 8), (1, 1, 4, 4), value=np.nextafter(np.float32(0.2), np.float32(1)))
    assert len(cut(at, 0.2)) == 0
    assert_boxes(cut(above, 0.2), from_centre(2.5, 2.5, sqrt(8), sqrt(8)))


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_a_flat_block_n_cells_wide_has_a_box_of_sqrt_n2_minus_1(n):
    """n = 5: variance (25 - 1) / 12 = 2, width sqrt(24) = 4.899, not 5."""
    wide = cut(make_map((12, 20), (3, 2, 3 + n, 6)))
    tall = cut(make_map((20, 12), (2, 3, 6, 3 + n)))
    assert_boxes(wide, from_centre(3 + n / 2, 4, sqrt(n * n - 1), sqrt(15)))
    assert_boxes(tall, from_centre(4, 3 + n / 2, sqrt(15), sqrt(n * n - 1)))


@pytest.mark.parametrize("block", [(3, 3, 4, 4), (3, 2, 4, 7), (2, 3, 7, 4)], ids=["cell", "column", "row"])
def test_a_component_one_cell_wide_or_high_has_no_extent_and_no_box(block):
    """n = 1: sqrt(1 - 1) = 0."""
    merged = make_map((8, 8), block)
    assert len(cut(merged)) == 0
    mined = mine_boxes([make_cam(merged, label=7)], (8, 8), MiningConfig(grid_short_side=8))
    assert len(mined.boxes) == 0
    assert mined.no_box_reasons == ((7, "no-extent"),)


@pytest.mark.parametrize("transposed", [False, True])
def test_centre_width_and_score_are_weighted_by_the_map(transposed):
    """Two equal rows of 1, 1/2, 1/2 centred on x = 2.5, 3.5, 4.5.

    x_c = (2.5 + 1.75 + 2.25) / 2 = 3.25; variance = (0.5625 + 0.5 * 0.0625 + 0.5 * 1.5625) / 2 = 0.6875, so
    w = sqrt(8.25); rows 3 and 4: y_c = 4, h = sqrt(3); mean activation 4 / 6.
    """
    merged = make_map((9, 9))
    merged[3:5, 2:5] = [1, 0.5, 0.5]
    found = cut(merged.T.copy() if transposed else merged)
    box = from_centre(3.25, 4, sqrt(8.25), sqrt(3))
    assert_boxes(found, [box[1], box[0], box[3], box[2]] if transposed else box)
    assert found.scores.tolist() == pytest.approx([2 / 3])


def test_a_threshold_masks_the_map_but_is_not_subtracted_from_it():
    """Columns 1, 1, 1/4 at tau 0.2 weigh 1, 1, 1/4: x_c = (2.5 + 3.5 + 4.5 / 4) / 2.25 = 3.1667."""
    merged = make_map((9, 9))
    merged[3:6, 2:5] = [1, 1, 0.25]
    box = cut(merged, 0.2).boxes[0]
    assert (box[0] + box[2]) / 2 == pytest.approx(7.125 / 2.25, abs=1e-4)


def test_a_component_of_exactly_half_the_largest_area_stays():
    """16 and 8 cells."""
    found = cut(make_map((12, 12), (1, 1, 5, 5), (7, 7, 9, 11)))
    assert_boxes(found, from_centre(3, 3, sqrt(15), sqrt(15)), from_centre(8, 9, sqrt(3), sqrt(15)))


def test_a_component_just_below_half_the_largest_area_goes():
    """16 and 7 cells."""
    merged = make_map((12, 12), (1, 1, 5, 5), (7, 7, 9, 11))
    merged[10, 8] = 0
    assert_boxes(cut(merged), from_centre(3, 3, sqrt(15), sqrt(15)))


def test_the_half_area_rule_is_applied_within_one_threshold():
    """At 0.2 the halo of 36 cells drops the block of 8; at 0.5 its core of 9 cells does not (8 >= 4.5)."""
    merged = make_map((12, 12), (0, 0, 6, 6), value=0.4)
    merged[1:4, 1:4] = 1
    merged[7:11, 8:10] = 1
    found = cut(merged, 0.2, 0.5)
    assert found.thresholds.tolist() == pytest.approx([0.2, 0.5, 0.5])


def test_components_that_touch_at_a_corner_are_one_with_8_neighbours():
    """Eight cells, two in each of the columns 1.5, 2.5, 3.5, 4.5: centre 3, variance 1.25, width sqrt(15)."""
    merged = make_map((8, 8), (1, 1, 3, 3), (3, 3, 5, 5))
    assert_boxes(cut(merged, connectivity=8), from_centre(3, 3, sqrt(15), sqrt(15)))


def test_components_that_touch_at_a_corner_are_two_with_4_neighbours():
    merged = make_map((8, 8), (1, 1, 3, 3), (3, 3, 5, 5))
    found = cut(merged, connectivity=4)
    assert_boxes(found, from_centre(2, 2, sqrt(3), sqrt(3)), from_centre(4, 4, sqrt(3), sqrt(3)))


def test_a_component_does_not_absorb_another_one_inside_its_bounding_rectangle():
    """An L of 36 cells (columns 0-1 of 10 rows, rows 8-9 of 8 more columns) around a block of 18 cells.

    L: x_c = (20 * 1 + 16 * 6) / 36 = 3.2222; E[x^2] = (20 * 1.25 + 16 * 41.25) / 36 = 19.0278; variance 8.6451,
    width 10.1853, clipped at 0. In y the same from the other side: y_c = (20 * 5 + 16 * 9) / 36 = 6.7778.
    """
    merged = make_map((12, 12), (0, 0, 2, 10), (2, 8, 10, 10), (4, 1, 10, 4))
    found = cut(merged)
    side = sqrt(12 * 8.645062)
    corner = [0, 6.777778 - side / 2, 3.222222 + side / 2, 6.777778 + side / 2]
    assert_boxes(found, corner, from_centre(7, 2.5, sqrt(35), sqrt(8)))


def test_a_box_is_clipped_to_the_image():
    """Columns 1, 1/4, 1/4, 1/4, 1: variance (2 * 4 + 2 * 0.25) / 2.75 = 3.0909, width 6.09 of an image 5 wide."""
    merged = np.tile(np.array([1, 0.25, 0.25, 0.25, 1], np.float32), (9, 1))
    assert_boxes(cut(merged), [0, 4.5 - sqrt(80) / 2, 5, 4.5 + sqrt(80) / 2])


def test_cells_become_pixels_of_an_image_that_is_not_square():
    """Cells of 10 x 5 px: the 4x3 block at (2, 1) is centred on (40, 12.5)."""
    found = cut_boxes(
        cover_image(make_map((8, 12), (2, 1, 6, 4)), (120, 40)), 3, (120, 40), MiningConfig(thresholds=(0.2,))
    )
    assert_boxes(found, from_centre(40, 12.5, 10 * sqrt(15), 5 * sqrt(8)))
    assert found.labels.tolist() == [3]


def test_thresholds_that_cut_the_same_cells_give_one_box_after_nms():
    cam = make_cam(make_map((8, 8), (2, 2, 6, 6)))
    merged = mine_boxes([cam], (8, 8), MiningConfig(grid_short_side=8))
    kept = mine_boxes([cam], (8, 8), MiningConfig(grid_short_side=8, nms_iou=1.0))
    assert len(merged.boxes) == 1
    assert kept.boxes.thresholds.tolist() == pytest.approx([0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize(("height", "kept"), [(7.9, 2), (8.0, 2), (8.1, 1)], ids=["0.79", "0.80", "0.81"])
def test_nms_over_thresholds_drops_what_overlaps_above_0_8(height, kept):
    found = make_boxes([(0, 0, 10, 10), (0, 0, 10, height)])
    assert len(suppress_boxes(found, MiningConfig())) == kept


def test_of_two_overlapping_boxes_the_larger_or_the_higher_scored_wins():
    found = make_boxes([(0, 0, 10, 8.1), (0, 0, 10, 10)], scores=[0.9, 0.3])
    by_area = suppress_boxes(found, MiningConfig(nms_order="area"))
    by_score = suppress_boxes(found, MiningConfig(nms_order="score"))
    assert_boxes(by_area, [0, 0, 10, 10])
    assert_boxes(by_score, [0, 0, 10, 8.1])
