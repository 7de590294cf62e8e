"""Operations on boxes, held against torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from dap_core.boxes import box_cxcywh_to_xyxy, clip_boxes, compute_areas, compute_iou, nms
from tests.builders import make_random_boxes

NO_BOXES = np.zeros((0, 4), np.float32)


def iou_of(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return float(compute_iou(np.array([a], np.float32), np.array([b], np.float32))[0, 0])


def test_centre_and_size_become_corners():
    boxes = np.array([[5.0, 4.0, 6.0, 2.0], [0.5, 0.5, 0.0, 1.0]])
    np.testing.assert_array_equal(box_cxcywh_to_xyxy(boxes), [[2, 3, 8, 5], [0.5, 0, 0.5, 1]])


def test_clipping_uses_width_for_x_and_height_for_y():
    boxes = np.array([[-3.0, -2.0, 40.0, 40.0], [25.0, 5.0, 28.0, 8.0]])
    np.testing.assert_array_equal(clip_boxes(boxes, (20, 10)), [[0, 0, 20, 10], [20, 5, 20, 8]])


def test_areas_are_half_open():
    np.testing.assert_array_equal(compute_areas(np.array([[0.0, 0.0, 3.0, 2.0], [1.0, 1.0, 1.0, 5.0]])), [6, 0])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 50 / 150),
        ((0, 0, 10, 10), (2, 3, 4, 5), 4 / 100),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),  # half-open boxes that touch share nothing
        ((0, 0, 10, 10), (20, 20, 30, 30), 0.0),
        ((3, 3, 3, 9), (3, 3, 3, 9), 0.0),  # no area at all
        ((3, 3, 3, 9), (0, 0, 10, 10), 0.0),
    ],
)
def test_iou_solved_by_hand(a, b, expected):
    assert iou_of(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(("count_a", "count_b"), [(0, 0), (0, 3), (3, 0), (40, 60)])
def test_iou_agrees_with_torchvision(count_a, count_b):
    a, b = make_random_boxes(count_a, seed=1), make_random_boxes(count_b, seed=2)
    expected = torchvision.ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(compute_iou(a, b), expected, atol=1e-5)


coordinates = st.tuples(*[st.floats(0, 1e4, width=32)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@given(coordinates, coordinates)
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    assert iou_of(a, b) == iou_of(b, a)
    assert 0 <= iou_of(a, b) <= 1


@pytest.mark.parametrize("iou_threshold", [0.0, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_nms_agrees_with_torchvision(iou_threshold, seed):
    boxes = make_random_boxes(80, seed)
    scores = np.random.default_rng(seed).uniform(size=80).astype(np.float32)
    expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold)
    np.testing.assert_array_equal(nms(boxes, scores, iou_threshold), expected)


def test_nms_orders_many_equal_scores_as_torchvision_does():
    boxes = make_random_boxes(200)
    scores = np.random.default_rng(0).choice(np.array([0.25, 0.5, 0.75], np.float32), 200)
    expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5)
    np.testing.assert_array_equal(nms(boxes, scores, 0.5), expected)


def test_nms_removes_nothing_when_it_would_be_wrong_to_remove_everything():
    """The comparison above would pass for empty answers: here both outcomes really occur."""
    boxes, scores = make_random_boxes(80), np.linspace(1, 0, 80, dtype=np.float32)
    assert len(nms(boxes, scores, 1.0)) == 80
    assert 1 < len(nms(boxes, scores, 0.3)) < 80


def test_nms_keeps_a_box_at_exactly_the_threshold_and_drops_one_above():
    """80 of 100 px and 81 of 100 px: IoU 0.8 stays, 0.81 goes."""
    scores = np.array([0.9, 0.5], np.float32)
    at = np.array([[0, 0, 10, 10], [0, 0, 10, 8]], np.float32)
    above = np.array([[0, 0, 10, 10], [0, 0, 10, 8.1]], np.float32)
    assert nms(at, scores, 0.8).tolist() == [0, 1]
    assert nms(above, scores, 0.8).tolist() == [0]


def test_of_equal_scores_nms_keeps_the_earlier_box():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9.9], [50, 50, 60, 60]], np.float32)
    assert nms(boxes, np.array([0.5, 0.5, 0.5], np.float32), 0.8).tolist() == [0, 2]


def test_a_suppressed_box_suppresses_nothing():
    """b overlaps a and c, a and c overlap less: without b, c stays."""
    boxes = np.array([[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]], np.float32)
    assert nms(boxes, np.array([0.9, 0.8, 0.7], np.float32), 0.5).tolist() == [0, 2]


def test_nms_of_no_and_one_box():
    assert nms(NO_BOXES, np.zeros(0, np.float32), 0.5).tolist() == []
    assert nms(make_random_boxes(1), np.ones(1, np.float32), 0.0).tolist() == [0]
