"""Class lists, rounded maps, sets of boxes, and the error tree."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dap_core import errors
from dap_core.errors import DapError, ImageError, InputError, StoreError, UnknownLabelError
from dap_core.types import ClassList, PseudoBoxes
from tests.builders import make_boxes, make_cam, make_classes

BIRDS = ClassList.from_pairs([("n1", "crane"), ("n2", "Robin"), ("n3", "crane"), ("7", "seven")])


@pytest.mark.parametrize(
    ("label", "expected"),
    [("n2", 1), ("robin", 1), ("ROBIN", 1), (1, 1), (np.int64(1), 1), ("1", 1), ("n3", 2), ("7", 3), (0, 0), (3, 3)],
)
def test_a_label_is_a_wnid_then_a_name_then_an_index(label, expected):
    assert BIRDS.index_of(label) == expected


def test_a_name_with_its_wnid_is_that_class_as_exports_write_it():
    assert (BIRDS.index_of("crane (n1)"), BIRDS.index_of("Crane (n3)"), BIRDS.index_of("robin (n2)")) == (0, 2, 1)
    named = ClassList.from_pairs([("n1", "crane"), ("n2", "crane (n1)")])
    assert named.index_of("crane (n1)") == 1  # a class of that very name comes first


@pytest.mark.parametrize(
    "label", [-1, 4, "4", "n9", "", "-1", "1.0", "  robin", "robin (n1)", "crane (n9)", "crane (n1", "(n1)", "crane ()"]
)
def test_what_matches_nothing_is_an_unknown_label(label):
    with pytest.raises(UnknownLabelError) as caught:
        BIRDS.index_of(label)
    assert str(label) in str(caught.value)


def test_a_name_of_several_classes_is_refused_with_their_wnids():
    with pytest.raises(UnknownLabelError, match="names 2 classes; use one of the wnids n1, n3"):
        BIRDS.index_of("Crane")


def test_a_misspelt_name_is_answered_with_the_nearest_one():
    with pytest.raises(UnknownLabelError, match="nearest: robin"):
        BIRDS.index_of("Robbin")


def test_a_class_list_refuses_a_repeated_wnid():
    with pytest.raises(ValueError, match="wnid of its own"):
        ClassList.from_pairs([("n1", "a"), ("n1", "b")])


def test_a_class_list_has_length_and_items():
    classes = make_classes(3)
    assert len(classes) == 3
    assert (classes[2].wnid, classes[2].name) == ("x2", "class 2")


finite_maps = npst.arrays(
    np.float32, npst.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-1e6, 1e6, width=32)
)


@given(finite_maps)
def test_rounding_a_map_moves_no_value_by_more_than_half_a_step(values):
    """65,536 values span the range in 65,535 steps; beside half a step only float32's own resolution is lost."""
    cam = make_cam(values)
    step = (float(values.max()) - float(values.min())) / 65535
    resolution = 4 * float(np.spacing(np.abs(values).max()))
    assert np.abs(cam.to_map().astype(np.float64) - values).max() <= step / 2 + resolution


def test_the_lowest_and_highest_value_of_a_map_are_kept():
    cam = make_cam(np.array([[-2.5, 0.0], [1.0, 7.5]], np.float32))
    assert (cam.lowest, cam.highest) == (-2.5, 7.5)
    assert (cam.values.min(), cam.values.max()) == (0, 65535)
    assert (cam.to_map().min(), cam.to_map().max()) == (-2.5, 7.5)


def test_a_map_is_rounded_to_the_nearest_step():
    """0, 1, 2 of a range of 2 are 0, 32767.5 -> 32768 (half to even), 65535 steps."""
    assert make_cam(np.array([[0.0, 1.0, 2.0]], np.float32)).values.tolist() == [[0, 32768, 65535]]


def test_a_flat_map_is_kept_exactly():
    cam = make_cam(np.full((2, 3), 0.1, np.float32))
    np.testing.assert_array_equal(cam.to_map(), np.full((2, 3), 0.1, np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_map_with_one_value_that_is_not_finite_is_marked_as_such(bad):
    values = np.array([[1.0, bad], [2.0, 3.0]], np.float32)
    cam = make_cam(values)
    assert np.isnan([cam.lowest, cam.highest]).all()
    assert not cam.values.any()
    assert np.isnan(cam.to_map()).all()


def test_boxes_are_put_together_in_order():
    a, b = make_boxes([(0, 0, 1, 1)], label=4), make_boxes([(0, 0, 2, 2), (0, 0, 3, 3)], label=5)
    both = PseudoBoxes.concatenate([a, PseudoBoxes.empty(), b])
    assert both.labels.tolist() == [4, 5, 5]
    assert both.boxes[:, 2].tolist() == [1, 2, 3]


def test_no_parts_are_no_boxes():
    none = PseudoBoxes.concatenate([])
    assert len(none) == 0
    assert none.boxes.shape == (0, 4)
    assert [a.dtype for a in (none.boxes, none.labels, none.scores)] == [np.float32, np.int32, np.float32]


def test_boxes_are_taken_with_everything_that_belongs_to_them():
    boxes = make_boxes([(0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 3, 3)], scores=[0.1, 0.2, 0.3])
    taken = boxes.take(np.array([2, 0]))
    assert taken.boxes[:, 2].tolist() == [3, 1]
    assert taken.scores.tolist() == pytest.approx([0.3, 0.1])


def test_values_between_stages_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_cam(np.ones((2, 2), np.float32)).label = 3


def every_error() -> list[type[DapError]]:
    return [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, DapError)]


def test_every_error_has_a_short_name_of_its_own_and_stands_in_the_tree():
    names = [one.error_type for one in every_error() if one is not ImageError]  # whose kinds are per image
    assert len(set(names)) == len(names)
    for one in every_error():
        assert one.__name__ in errors.__doc__, one


def test_errors_are_split_by_what_the_caller_can_do():
    assert issubclass(ImageError, InputError)
    assert issubclass(UnknownLabelError, InputError)
    assert not issubclass(StoreError, InputError)


def test_an_image_error_carries_its_kind_and_takes_no_other():
    assert ImageError("truncated-image", "it ends early").error_type == "truncated-image"
    with pytest.raises(AssertionError):
        ImageError("no-such-kind", "")
