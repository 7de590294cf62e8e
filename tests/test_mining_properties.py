"""What holds for any maps: symmetries, an independent slow reference, and maps that say nothing."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from dap_core.merging import compute_grid_size
from dap_core.mining import MiningConfig, cut_boxes, merge_cams, mine_boxes
from dap_core.types import Cam, FloatArray, MinedBoxes, PseudoBoxes
from tests.builders import cover_image, make_cam, make_map, make_smooth_map

SIZE_WH = (400, 300)
KEEP_ALL = MiningConfig(nms_iou=1.0, grid_short_side=48)
seeds = st.integers(0, 2**32 - 1)


def make_passes(seed: int, label: int = 0) -> list[Cam]:
    """Two scales of one label that see about the same."""
    coarse, fine = make_smooth_map((9, 12), seed), make_smooth_map((18, 24), seed)
    return [
        make_cam(coarse, label=label, size_wh=SIZE_WH),
        make_cam(fine, label=label, size_wh=SIZE_WH, short_side=576),
    ]


def assert_same_boxes(found: PseudoBoxes, expected: FloatArray, tolerance: float) -> None:
    """The same boxes in any order."""
    assert found.boxes.shape == expected.shape
    distances = np.abs(found.boxes[:, None] - expected[None]).max(2)
    rows, columns = linear_sum_assignment(distances)
    assert distances[rows, columns].max(initial=0) <= tolerance


def assert_equal_bits(a: PseudoBoxes, b: PseudoBoxes) -> None:
    for one, other in ((a.boxes, b.boxes), (a.labels, b.labels), (a.scores, b.scores), (a.thresholds, b.thresholds)):
        np.testing.assert_array_equal(one, other)


def cut_pixels(merged: FloatArray, config: MiningConfig) -> PseudoBoxes:
    """Boxes of a map with one cell per pixel."""
    return cut_boxes(cover_image(merged), 0, (merged.shape[1], merged.shape[0]), config)


def assume_no_cell_near_a_threshold(cams: list[Cam], config: MiningConfig) -> None:
    """Rounding of 1e-6 may lift a cell over a threshold and so change a component; that is no error."""
    merged = merge_cams(cams, SIZE_WH, config)
    assume(not isinstance(merged, str))
    assume(all(np.abs(merged.values - tau).min() > 2e-6 for tau in config.thresholds))


def slow_boxes(merged: FloatArray, threshold: float, connectivity: int, min_area_ratio: float) -> list[list[float]]:
    """Eqs. 2-6 cell by cell, in plain Python floats."""
    above = merged > np.float32(threshold)
    labelled, count = ndimage.label(above, np.ones((3, 3)) if connectivity == 8 else None)
    components = [np.argwhere(labelled == index) for index in range(1, count + 1)]
    largest = max(map(len, components), default=0)
    boxes = []
    for cells in components:
        if len(cells) < min_area_ratio * largest:
            continue
        m = [float(merged[y, x]) for y, x in cells]
        xs, ys = [float(x) + 0.5 for _, x in cells], [float(y) + 0.5 for y, _ in cells]
        x_c = sum(w * x for w, x in zip(m, xs, strict=True)) / sum(m)
        y_c = sum(w * y for w, y in zip(m, ys, strict=True)) / sum(m)
        width = sqrt(12 * sum(w * (x - x_c) ** 2 for w, x in zip(m, xs, strict=True)) / sum(m))
        height = sqrt(12 * sum(w * (y - y_c) ** 2 for w, y in zip(m, ys, strict=True)) / sum(m))
        if len(set(xs)) > 1 and len(set(ys)) > 1:
            boxes.append([x_c - width / 2, y_c - height / 2, x_c + width / 2, y_c + height / 2])
    return boxes


def make_merged(kind: str, seed: int) -> FloatArray:
    """Noise has many components of odd shape, soft peaks few and large ones."""
    if kind == "soft peaks":
        values = make_smooth_map((20, 26), seed)
        return (values - values.min()) / (values.max() - values.min())
    return np.random.default_rng(seed).uniform(0, 1, (14, 19)).astype(np.float32) ** 3


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("min_area_ratio", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["noise", "soft peaks"])
@given(seed=seeds)
def test_boxes_agree_with_a_slow_reference(kind, min_area_ratio, connectivity, seed):
    merged = make_merged(kind, seed)
    height, width = merged.shape
    thresholds = (0.2, 0.35, 0.5)
    options: dict[str, Any] = {"connectivity": connectivity, "min_area_ratio": min_area_ratio}
    expected = [box for tau in thresholds for box in slow_boxes(merged, tau, connectivity, min_area_ratio)]
    found = cut_boxes(
        cover_image(merged, (width, height)), 0, (width, height), MiningConfig(thresholds=thresholds, **options)
    )
    clipped = np.clip(np.array(expected).reshape(-1, 4), 0, [width, height, width, height])
    assert_same_boxes(found, clipped.astype(np.float32), tolerance=1e-3)


def mirror(cam: Cam) -> Cam:
    last_x = cam.origin_xy[0] + cam.pitch_xy[0] * (cam.values.shape[1] - 1)
    values = np.ascontiguousarray(cam.values[:, ::-1])
    return replace(cam, values=values, origin_xy=(SIZE_WH[0] - last_x, cam.origin_xy[1]))


def shift(cam: Cam, x: float, y: float) -> Cam:
    return replace(cam, origin_xy=(cam.origin_xy[0] + x, cam.origin_xy[1] + y))


@given(seeds, st.floats(-15, 15), st.floats(-15, 15))
def test_mirroring_the_maps_mirrors_the_boxes(seed, x, y):
    cams = [shift(cam, x, y) for cam in make_passes(seed)]
    assume_no_cell_near_a_threshold(cams, KEEP_ALL)
    expected = mine_boxes(cams, SIZE_WH, KEEP_ALL).boxes.boxes[:, [2, 1, 0, 3]]
    expected[:, [0, 2]] = SIZE_WH[0] - expected[:, [0, 2]]
    assert_same_boxes(mine_boxes([mirror(cam) for cam in cams], SIZE_WH, KEEP_ALL).boxes, expected, tolerance=0.01)


@given(seeds, st.sampled_from([2, 3, 5]))
def test_scaling_image_and_geometry_scales_the_boxes(seed, factor):
    cams = make_passes(seed)
    assume_no_cell_near_a_threshold(cams, KEEP_ALL)
    larger = [
        replace(
            cam,
            origin_xy=(cam.origin_xy[0] * factor, cam.origin_xy[1] * factor),
            pitch_xy=(cam.pitch_xy[0] * factor, cam.pitch_xy[1] * factor),
        )
        for cam in cams
    ]
    found = mine_boxes(larger, (SIZE_WH[0] * factor, SIZE_WH[1] * factor), KEEP_ALL).boxes
    expected = mine_boxes(cams, SIZE_WH, KEEP_ALL).boxes.boxes * factor
    assert_same_boxes(found, expected, tolerance=0.01 * factor)


@given(seeds)
def test_cutting_one_threshold_at_a_time_gives_the_boxes_of_all_together(seed):
    merged = make_merged("noise", seed)
    thresholds = (0.5, 0.2, 0.4)  # in any order
    together = cut_pixels(merged, MiningConfig(thresholds=thresholds))
    alone = [cut_pixels(merged, MiningConfig(thresholds=(tau,))) for tau in sorted(thresholds)]
    assert_equal_bits(together, PseudoBoxes.concatenate(alone))


@given(seeds)
def test_raising_the_threshold_never_enlarges_the_set_above(seed):
    """Removing what a lower threshold leaves out changes nothing at a higher one, and scores exceed thresholds."""
    merged = make_merged("noise", seed)
    low, high = MiningConfig(thresholds=(0.2,)), MiningConfig(thresholds=(0.5,))
    without = np.where(merged > np.float32(0.2), merged, np.float32(0))
    assert_equal_bits(cut_pixels(merged, high), cut_pixels(without, high))
    for found in (cut_pixels(merged, config) for config in (low, high)):
        assert (found.scores > found.thresholds).all()


@given(seeds)
def test_labels_mined_together_equal_each_label_alone(seed):
    """Labels 9 and 4 even have the same maps: neither suppresses the other."""
    cams = [*make_passes(seed, label=9), *make_passes(seed, label=4), *make_passes(seed + 1, label=6)]
    together = mine_boxes(cams, SIZE_WH, MiningConfig()).boxes
    alone = [
        mine_boxes([cam for cam in cams if cam.label == label], SIZE_WH, MiningConfig()).boxes for label in (9, 4, 6)
    ]
    assert_equal_bits(together, PseudoBoxes.concatenate(alone))
    assert (together.labels == 9).sum() == (together.labels == 4).sum() > 0


@given(seeds)
def test_mining_twice_is_equal_bit_for_bit(seed):
    first = mine_boxes(make_passes(seed), SIZE_WH, MiningConfig())
    mine_boxes([shift(cam, 3, 3) for cam in make_passes(seed)], SIZE_WH, MiningConfig())  # other geometry between
    assert_equal_bits(first.boxes, mine_boxes(make_passes(seed), SIZE_WH, MiningConfig()).boxes)


@given(seeds)
def test_boxes_lie_in_the_image_have_area_and_fall_in_the_order_of_the_recipe(seed):
    boxes = mine_boxes(make_passes(seed), SIZE_WH, MiningConfig()).boxes.boxes
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= SIZE_WH).all()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    assert (areas > 0).all()
    assert (np.diff(areas) <= 0).all()


def poison(cam: Cam) -> Cam:
    values: NDArray[np.uint16] = np.full((cam.values.shape[0] + 2, cam.values.shape[1] + 3), 65535, np.uint16)
    values[: cam.valid_hw[0], : cam.valid_hw[1]] = cam.values
    return replace(cam, values=values)


def test_cells_in_the_padding_reach_neither_the_extremes_nor_a_component():
    cams = make_passes(seed=5)
    clean = mine_boxes(cams, SIZE_WH, MiningConfig())
    assert len(clean.boxes) > 0
    assert_equal_bits(mine_boxes([poison(cam) for cam in cams], SIZE_WH, MiningConfig()).boxes, clean.boxes)


def mine(*maps: FloatArray) -> MinedBoxes:
    return mine_boxes([make_cam(one, label=3, size_wh=(80, 60)) for one in maps], (80, 60), MiningConfig())


FLAT = np.full((6, 8), 0.7, np.float32)
PEAK = make_map((6, 8), (2, 2, 6, 5))


@pytest.mark.parametrize(
    ("maps", "reason"),
    [
        ([FLAT], "flat-map"),
        ([FLAT, 2 * FLAT], "flat-map"),
        ([0 * FLAT], "flat-map"),
        ([PEAK, 1 - PEAK], "flat-map"),
        ([np.full((6, 8), 1e6, np.float32) + PEAK * 0.1], "flat-map"),
        ([np.where(PEAK > 0, np.float32(np.nan), PEAK)], "not-finite"),
        ([PEAK, np.where(PEAK > 0, np.float32(np.inf), PEAK)], "not-finite"),
    ],
)
def test_maps_that_say_nothing_give_a_reason_and_no_box(maps, reason):
    mined = mine(*maps)
    assert len(mined.boxes) == 0
    assert mined.no_box_reasons == ((3, reason),)


def test_a_flat_pass_beside_one_that_is_not_changes_nothing():
    assert_same_boxes(mine(PEAK, FLAT).boxes, mine(PEAK).boxes.boxes, tolerance=1e-3)


def test_a_label_without_boxes_leaves_the_others_theirs():
    cams = [make_cam(FLAT, label=1, size_wh=(80, 60)), make_cam(PEAK, label=2, size_wh=(80, 60))]
    mined = mine_boxes(cams, (80, 60), MiningConfig())
    assert set(mined.boxes.labels.tolist()) == {2}
    assert mined.no_box_reasons == ((1, "flat-map"),)


def test_no_maps_give_no_boxes_and_no_reasons():
    mined = mine_boxes([], (80, 60), MiningConfig())
    assert (len(mined.boxes), mined.no_box_reasons) == (0, ())


def test_a_map_below_every_threshold_gives_no_boxes():
    assert len(cut_boxes(cover_image(make_map((8, 8), (2, 2, 5, 5), value=0.1)), 0, (8, 8), MiningConfig())) == 0


def test_the_sample_grid_is_square_within_rounding():
    assert compute_grid_size((500, 375), 96) == (128, 96)
    assert compute_grid_size((333, 777), 96) == (96, 224)
    assert compute_grid_size((40, 40), 96) == (96, 96)
