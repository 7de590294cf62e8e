"""The recipe `official`, each line of the table of the released script's behaviour solved by hand.

Never copy our own output into this file.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from dap_core.boxes import compute_iou, nms
from dap_core.merging import MergedMap, stack_cams
from dap_core.mining import cut_boxes, mine_boxes
from dap_core.recipes import OFFICIAL
from dap_core.types import Cam, FloatArray, PseudoBoxes
from tests.builders import make_map, make_smooth_map

SIZE_WH = (720, 432)
PITCH = 32 * 432 / 576  # 24 px a cell


def make_official_cam(values: Any, *, short_side: int = 576, mirrored: bool = False, padded: int = 0) -> Cam:
    """A stored map of an image of SIZE_WH whose last `padded` columns lie in the padding."""
    array = np.asarray(values, np.float32)
    pitch = 32 * 432 / short_side
    return Cam.from_map(
        array,
        label=0,
        short_side=short_side,
        mirrored=mirrored,
        origin_xy=(1.0, 2.0),  # where cells truly lie plays no part
        pitch_xy=(pitch * 1.01, pitch),  # nor does the rounding of the longer side
        valid_hw=(array.shape[0], array.shape[1] - padded),
    )


def stack(*cams: Cam) -> FloatArray:
    merged = stack_cams(cams, SIZE_WH)
    assert isinstance(merged, MergedMap)
    assert merged.pitch_xy == pytest.approx((PITCH, PITCH))
    return merged.values


def cut(values: FloatArray, threshold: float = 0.2, **options: Any) -> PseudoBoxes:
    config = replace(OFFICIAL.mining, thresholds=(threshold,), **options)
    return cut_boxes(MergedMap(values, (PITCH, PITCH)), 0, SIZE_WH, config)


def from_centre(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    """A box given in cells, in pixels."""
    return PITCH * np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def test_cells_in_the_padding_take_part_in_eq_1():
    """The highest value, 4, lies in the padding: 2 becomes 1/2."""
    merged = stack(make_official_cam([[0, 2, 4], [1, 0, 0]], padded=1))
    np.testing.assert_allclose(merged, [[0, 0.5, 1], [0.25, 0, 0]], atol=1e-4)


def test_mirrors_are_averaged_cell_by_cell_before_eq_1_and_scales_after():
    """Scale 576: (4 + 0) / 2 and (0 + 2) / 2 are 2 and 1, so 1 and 1/2; scale 288: 1 and 0. The mean is 1, 1/4."""
    fine = [make_official_cam([[4, 0, 0]]), make_official_cam([[0, 2, 0]], mirrored=True)]
    coarse = make_official_cam([[10, 0, 0]], short_side=288)
    np.testing.assert_allclose(stack(*fine, coarse), [[1, 0.25, 0]], atol=1e-4)


def test_the_coarse_map_is_brought_to_the_fine_grid_by_the_nearest_cell():
    """3 columns to 5: floor(3 j / 5) is 0, 0, 1, 1, 2; 2 rows to 3: 0, 0, 1."""
    fine = make_official_cam(np.eye(3, 5))
    coarse = make_official_cam([[0, 1, 2], [3, 4, 6]], short_side=288)
    expected = np.array([[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 6]]) / 6
    np.testing.assert_allclose(stack(fine, coarse), (np.eye(3, 5) + expected) / 2, atol=1e-4)


def test_the_mean_over_scales_is_not_normalised_again():
    """Peaks in different cells: 1/2 each, so nothing is above 0.5 and two cells are above 0.4."""
    fine, coarse = make_map((3, 4), (0, 0, 1, 1)), make_map((3, 4), (3, 2, 4, 3))
    cams = [make_official_cam(fine), make_official_cam(coarse, short_side=288)]
    config = replace(OFFICIAL.mining, thresholds=(0.4, 0.5))
    assert mine_boxes(cams, SIZE_WH, config).boxes.thresholds.tolist() == pytest.approx([0.4, 0.4])


def test_a_flat_scale_gives_a_reason_where_the_script_divides_by_zero():
    cams = [make_official_cam(np.ones((3, 3))), make_official_cam(np.eye(3), short_side=288)]
    assert mine_boxes(cams, SIZE_WH, OFFICIAL.mining).no_box_reasons == ((0, "flat-map"),)


def test_moments_run_over_all_cells_above_the_threshold_within_the_components_rectangle():
    """An L of five cells and, within its rectangle, a cell that it does not touch.

    x of the six cells from the rectangle's left: 0 0 0 1 2 2, mean 5/6, variance 9/6 - 25/36 = 29/36, so sqrt(29/3)
    wide; y: 0 1 2 2 2 0, mean 7/6, the same variance. Of the L alone x is 0 0 0 1 2, mean 3/5, variance 1 - 9/25.
    """
    values = np.zeros((10, 12), np.float32)
    for row, column in ((0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (0, 2)):
        values[3 + row, 4 + column] = 1
    side = sqrt(29 / 3)
    np.testing.assert_allclose(
        cut(values).boxes, [from_centre(4 + 5 / 6 + 0.5, 3 + 7 / 6 + 0.5, side, side)], rtol=1e-5
    )
    alone = cut(values, region="component")
    width = sqrt(12 * 16 / 25)
    np.testing.assert_allclose(alone.boxes, [from_centre(4 + 3 / 5 + 0.5, 3 + 7 / 5 + 0.5, width, width)], rtol=1e-5)


def test_components_are_ranked_by_the_area_of_their_rectangle():
    """A diagonal staircase of 5 cells has a rectangle of 9; a full block of 2 x 2 has 4, less than half of 9."""
    values = make_map((8, 10), (7, 5, 9, 7))
    for row, column in ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2)):
        values[row + 1, column + 1] = 1
    assert len(cut(values)) == 1
    assert len(cut(values, region="component")) == 2


def test_cells_that_meet_at_a_corner_are_two_components():
    values = make_map((8, 10), (1, 1, 3, 3)) + make_map((8, 10), (3, 3, 5, 5))
    assert len(cut(values)) == 2
    assert len(cut(values, connectivity=8)) == 1


def test_at_most_four_components_count_per_threshold():
    """Five blocks, the last the largest: it comes first, and one of the equal ones is left out."""
    values = np.zeros((5, 20), np.float32)
    for left in (0, 3, 6, 9):
        values[1:3, left : left + 2] = 1
    values[1:4, 13:15] = 1
    assert len(cut(values)) == 4
    assert cut(values).boxes[0, 0] == pytest.approx(PITCH * (14 - sqrt(3) / 2), rel=1e-5)
    assert len(cut(values, max_components=None)) == 5


def test_weights_are_the_map_plus_0_22():
    """Two cells of 1 and 1/2 beside each other: weights 1.22 and 0.72, share of the second p = 0.72 / 1.94."""
    values = make_map((6, 8), (3, 2, 4, 3))
    values[2, 4] = 0.5
    share = 0.72 / 1.94
    expected = from_centre(3.5 + share, 2.5, sqrt(12 * share * (1 - share)), 1)
    np.testing.assert_allclose(cut(values).boxes, [expected], rtol=1e-5)


def test_a_single_cell_has_a_box_of_one_cell():
    np.testing.assert_allclose(cut(make_map((6, 8), (3, 2, 4, 3))).boxes, [from_centre(3.5, 2.5, 1, 1)])


def test_boxes_end_one_pixel_before_the_image_does():
    """A flat block of 5 cells whose centre is 2.5 cells from the edge of 30 x 18 cells is sqrt(24) cells wide."""
    [box] = cut(make_map((18, 30), (25, 13, 30, 18))).boxes
    side = sqrt(24)
    np.testing.assert_allclose(box[:2], [PITCH * (27.5 - side / 2), PITCH * (15.5 - side / 2)], rtol=1e-5)
    beyond = cut(make_map((18, 31), (26, 13, 31, 18))).boxes[0]  # a column in the padding: centre 28.5, to 30.95
    np.testing.assert_allclose(beyond[2:], [719, PITCH * (15.5 + side / 2)], rtol=1e-5)


def test_nms_counts_pixels_inclusively():
    """[0, 10] x [0, 10] and [0, 10] x [0, 9]: 90 / 100 by area, (11 * 10) / (11 * 11) = 0.909 inclusively."""
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    assert compute_iou(boxes, boxes)[0, 1] == pytest.approx(0.9)
    assert compute_iou(boxes, boxes, extra_px=1)[0, 1] == pytest.approx(110 / 121)
    areas = np.array([100, 90], np.float32)
    assert nms(boxes, areas, 0.905).tolist() == [0, 1]
    assert nms(boxes, areas, 0.905, extra_px=1).tolist() == [0]


def slow_boxes(values: FloatArray, threshold: float) -> list[list[float]]:
    """The table of the script, cell by cell in plain Python; boxes in cells, unclipped."""
    labelled, count = ndimage.label(values > np.float32(threshold))
    slices = ndimage.find_objects(labelled)
    ranked = sorted(range(count), key=lambda index: -labelled[slices[index]].size)[:4]
    boxes = []
    for index in ranked:
        rows, columns = slices[index]
        if labelled[rows, columns].size < 0.5 * labelled[slices[ranked[0]]].size:
            continue
        cells = [
            (x, y, float(values[y, x]) + 0.22)
            for y in range(rows.start, rows.stop)
            for x in range(columns.start, columns.stop)
            if values[y, x] > np.float32(threshold)
        ]
        mass = sum(weight for *_, weight in cells)
        mean_x, mean_y = (sum(cell[axis] * cell[2] for cell in cells) / mass for axis in (0, 1))
        width = max(1, sqrt(12 * sum((x - mean_x) ** 2 * w for x, _, w in cells) / mass))
        height = max(1, sqrt(12 * sum((y - mean_y) ** 2 * w for _, y, w in cells) / mass))
        boxes.append(from_centre(mean_x + 0.5, mean_y + 0.5, width, height).clip(0, [719, 431, 719, 431]).tolist())
    return boxes


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.35, 0.5]))
def test_any_map_gives_the_boxes_of_the_table_worked_cell_by_cell(seed, threshold):
    noise = np.random.default_rng(seed).random((18, 30), dtype=np.float32)
    for values in (make_smooth_map((18, 30), seed), noise * (noise > 0.6)):
        expected = slow_boxes(values, threshold)
        np.testing.assert_allclose(cut(values, threshold).boxes, np.reshape(expected, (-1, 4)), rtol=1e-4, atol=1e-2)
