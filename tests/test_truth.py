"""Truth laid beside a label set: what matches, and that nothing which does not is lost silently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets import Problem
from dap_core.datasets.csv_boxes import ONLY_CLASS
from dap_core.errors import InputError, UnknownLabelError
from dap_core.evaluation.truth import map_classes, match_keys, match_truth
from dap_core.label_sets import Failure
from dap_core.types import ClassList
from tests.label_set_builders import make_block_cam, make_label_set, make_row
from tests.truth_builders import make_annotations

BOX = (10.0, 10.0, 20.0, 20.0)
CLASSES = ClassList.from_pairs([("n01", "cat"), ("n02", "dog"), ("n03", "tabby"), ("n04", "crane"), ("n05", "crane")])


def test_classes_are_found_by_wnid_and_name_and_given_ones_win():
    truth = make_annotations({"a": [("n01", BOX), ("Dog", BOX), ("kitten", BOX), ("moose", BOX)]})
    mapped = map_classes(truth, CLASSES, {"kitten": ("cat", "n03")})
    assert mapped == {"n01": {0}, "Dog": {1}, "kitten": {0, 2}, "moose": set()}
    assert map_classes(truth, CLASSES, {"Dog": ()})["Dog"] == frozenset()


def test_a_number_or_an_ambiguous_name_in_the_truth_stands_for_nothing():
    """A truth class called 1 is its own numbering; `crane` is two classes of ImageNet."""
    truth = make_annotations({"a": [("1", BOX), ("crane", BOX)]})
    assert map_classes(truth, CLASSES) == {"1": set(), "crane": set()}


def test_truth_without_classes_stands_for_every_label():
    truth = make_annotations({"a": [(ONLY_CLASS, BOX)]})
    assert map_classes(truth, CLASSES) == {ONLY_CLASS: set(range(5))}
    assert map_classes(truth, CLASSES, {ONLY_CLASS: ("dog",)}) == {ONLY_CLASS: {1}}


def test_a_map_of_unknown_names_is_refused():
    truth = make_annotations({"a": [("kitten", BOX)]})
    with pytest.raises(InputError, match="the truth has no class puppy; it has kitten"):
        map_classes(truth, CLASSES, {"puppy": ("dog",)})
    with pytest.raises(UnknownLabelError, match="kat"):
        map_classes(truth, CLASSES, {"kitten": ("kat",)})


@pytest.mark.parametrize(
    ("keys", "truth_keys", "matches", "unmatched", "ambiguous"),
    [
        (["x/a.jpg", "x/b.jpg"], ["x/a.jpg", "x/b.jpg"], {"x/a.jpg": "x/a.jpg", "x/b.jpg": "x/b.jpg"}, [], []),
        (["x/a.jpg"], ["images/a.jpg"], {"images/a.jpg": "x/a.jpg"}, [], []),
        (["x/a.JPEG"], ["a.jpg"], {"a.jpg": "x/a.JPEG"}, [], []),
        (["x/a.jpg"], ["c.jpg"], {}, ["c.jpg"], []),
        (["x/a.jpg", "y/a.jpg"], ["a.jpg", "y/a.jpg"], {"y/a.jpg": "y/a.jpg"}, [], ["a.jpg"]),
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], {}, [], ["x/a.jpg", "y/a.jpg"]),
        (["a.jpg"], ["a.jpg", "y/a.jpg"], {"a.jpg": "a.jpg"}, [], ["y/a.jpg"]),
        (["a.jpg", "a.png"], ["a.png", "a"], {"a.png": "a.png"}, [], ["a"]),
    ],
    ids=["same", "file name", "stem", "none", "two images", "two truths", "exact wins", "two suffixes"],
)
def test_keys_are_matched_whole_then_by_name_then_by_stem(keys, truth_keys, matches, unmatched, ambiguous):
    assert match_keys(keys, truth_keys) == (matches, unmatched, ambiguous)


def test_everything_without_a_counterpart_is_named(tmp_path: Path):
    cams = [make_block_cam(BOX and (10, 10, 19, 15))]
    rows = [make_row(key, cams) for key in ("both.png", "label-only.png", "resized.png", "blue-drawn.png")]
    label_set = make_label_set(tmp_path, rows, failures=[Failure("broken.png", "empty-image", "the file is empty")])
    truth = make_annotations(
        {
            "both.png": [("red", BOX), ("green", BOX), ("red", (0, 0, 5, 5)), ("hard", BOX)],
            "blue-drawn.png": [("blue", BOX)],
            "broken.png": [("red", BOX)],
            "truth-only.png": [("red", BOX), ("green", BOX)],
        },
        ignored=["hard"],
        problems=[Problem("c.xml", "no corner")],
    )
    other = make_annotations({"resized.png": [("red", BOX)]}, size_wh=(30, 20))
    truth = type(truth)((*truth.images, *other.images), truth.class_names, truth.problems)
    class_map = map_classes(truth, label_set.classes, {"hard": ("red",)})
    matched = match_truth(label_set, truth, class_map)
    assert list(matched.boxes) == ["both.png"]
    np.testing.assert_array_equal(matched.boxes["both.png"][0], [BOX, (0, 0, 5, 5)])
    report = matched.report
    assert (report.num_images, report.num_pairs) == (4, 1)
    assert report.problems == (Problem("c.xml", "no corner"),)
    assert report.unmapped_classes == {"green": 2}
    assert report.images_without_truth == ("label-only.png",)
    assert report.truth_without_image == ("truth-only.png",)
    assert report.failed_images == ("broken.png",)
    assert report.other_size == ("resized.png: truth 30 x 20, image 60 x 40",)
    assert report.labels_without_box == ("blue-drawn.png: red",)
    assert report.boxes_without_label == ("blue-drawn.png: blue",)


def test_truth_of_unknown_size_is_taken(tmp_path: Path):
    label_set = make_label_set(tmp_path, [make_row("a.png", [make_block_cam((10, 10, 19, 15))])])
    truth = make_annotations({"a.png": [("red", BOX)]}, size_wh=None)
    assert match_truth(label_set, truth, map_classes(truth, label_set.classes)).report.num_pairs == 1
