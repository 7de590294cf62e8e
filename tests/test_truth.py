"""Truth laid beside a label set: what matches, and that nothing which does not is lost silently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets import Annotations, Problem, read_annotations
from dap_core.datasets.csv_boxes import ONLY_CLASS
from dap_core.errors import InputError, UnknownLabelError
from dap_core.evaluation.truth import map_classes, match_truth
from dap_core.evaluation.truth_keys import match_keys
from dap_core.exports import EXPORTERS, ExportOptions, export_label_set
from dap_core.label_sets import Failure
from dap_core.types import ClassList
from tests.export_builders import UGLY_CLASSES, encode_plain, make_boxes_row
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
        (["x/a.jpg"], ["a.jpg"], {"a.jpg": "x/a.jpg"}, [], []),
        (["x/a.jpg"], ["/data/x/a.jpg"], {"/data/x/a.jpg": "x/a.jpg"}, [], []),
        (["train/x/a.jpg"], ["x/a.png"], {"x/a.png": "train/x/a.jpg"}, [], []),
        (["wallaby/1.jpg"], ["koala/1.jpg"], {}, ["koala/1.jpg"], []),
        (["wallaby/1.jpg"], ["koala/1.png"], {}, ["koala/1.png"], []),
        (["wallaby/1.jpg", "koala/1.png"], ["koala/1.jpg"], {"koala/1.jpg": "koala/1.png"}, [], []),
        (["x/a.JPEG"], ["a.jpg"], {"a.jpg": "x/a.JPEG"}, [], []),
        (["x/a.jpg"], ["c.jpg"], {}, ["c.jpg"], []),
        (["x/a.jpg", "y/a.jpg"], ["a.jpg", "y/a.jpg"], {"y/a.jpg": "y/a.jpg"}, [], ["a.jpg"]),
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], {}, [], ["x/a.jpg", "y/a.jpg"]),
        (["a.jpg"], ["a.jpg", "y/a.jpg"], {"a.jpg": "a.jpg"}, [], ["y/a.jpg"]),
        (["a.jpg", "a.png"], ["a.png", "a"], {"a.png": "a.png"}, [], ["a"]),
        (["x/a.jpg"], ["x/a.jpg", "x/a.jpg"], {}, [], ["x/a.jpg"]),
    ],
    ids=[
        "same",
        "file name",
        "longer path",
        "shorter path of other suffix",
        "other folder",
        "other folder by stem",
        "right folder by stem",
        "stem",
        "none",
        "two images",
        "two truths",
        "exact wins",
        "two suffixes",
        "twice",
    ],
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


def test_classes_that_are_drawn_but_not_declared_are_found_and_can_be_mapped():
    """CVAT declares `dog` and somebody draws a cat; FiftyOne may give its labels as text."""
    drawn = make_annotations({"a": [("cat", BOX), ("kitten", BOX)]})
    truth = Annotations(drawn.images, ("dog",))
    assert map_classes(truth, CLASSES) == {"dog": {1}, "cat": {0}, "kitten": set()}
    assert map_classes(truth, CLASSES, {"kitten": ("n03",)})["kitten"] == {2}


def test_an_exported_name_of_an_ambiguous_class_is_that_class():
    truth = make_annotations({"a": [("crane (n05)", BOX)]})
    assert map_classes(truth, CLASSES) == {"crane (n05)": {4}}


def test_boxes_are_held_against_the_image_where_the_truth_gives_no_size(tmp_path: Path):
    label_set = make_label_set(tmp_path, [make_row("a.png", [make_block_cam((10, 10, 19, 15))])])
    boxes = [("red", BOX), ("red", (50, 30, 90, 40.05)), ("red", (70, 0, 80, 10))]
    truth = make_annotations({"a.png": boxes}, size_wh=None)
    matched = match_truth(label_set, truth, map_classes(truth, label_set.classes))
    np.testing.assert_allclose(matched.boxes["a.png"][0], [BOX, (50, 30, 60, 40)])
    assert [(problem.where, problem.message) for problem in matched.report.problems] == [
        ("a.png box 2", "box (50, 30, 90, 40.05) sticks out of the image of 60x40 pixels by 30; clipped"),
        ("a.png box 3", "box (70, 0, 80, 10) lies outside the image of 60 x 40"),
    ]


def test_boxes_to_ignore_are_counted_and_named(tmp_path: Path):
    label_set = make_label_set(tmp_path, [make_row("a.png", [make_block_cam((10, 10, 19, 15))])])
    truth = make_annotations({"a.png": [("hard", BOX), ("red", BOX), ("hard", BOX)]}, ignored=["hard"])
    report = match_truth(label_set, truth, map_classes(truth, label_set.classes, {"hard": ("red",)})).report
    assert (report.num_pairs, report.num_ignored, report.ignored_boxes) == (1, 2, ("a.png: hard", "a.png: hard"))


def test_how_many_were_matched_by_other_than_their_key_is_counted(tmp_path: Path):
    rows = [make_row(key, [make_block_cam((10, 10, 19, 15))]) for key in ("x/a.png", "x/b.png", "x/c.png")]
    truth = make_annotations({key: [("red", BOX)] for key in ("x/a.png", "b.png", "in/x/c.png", "y/c.png")})
    report = match_truth(make_label_set(tmp_path, rows), truth, {"red": frozenset({0})}).report
    assert (report.num_pairs, report.matched_by_name, report.truth_without_image) == (3, 2, ("y/c.png",))


def test_an_image_that_was_listed_twice_has_its_truth(tmp_path: Path):
    """It has a row, and a failure that says that the second mention does not count."""
    rows = [make_row("a.png", [make_block_cam((10, 10, 19, 15))])]
    label_set = make_label_set(tmp_path, rows, failures=[Failure("a.png", "duplicate-key", "listed twice")])
    report = match_truth(label_set, make_annotations({"a.png": [("red", BOX)]}), {"red": frozenset({0})}).report
    assert (report.num_pairs, report.failed_images, report.ambiguous_truth) == (1, (), ())


KEYS = ("crane/1.jpg", "crane/1.png", "crane/1.JPG", "deer/1.jpg", "images/in images.png", "images_/in images.png")


@pytest.mark.parametrize("images", ["copy", "none"])
@pytest.mark.parametrize("format_", EXPORTERS)
def test_an_export_is_truth_of_the_set_it_was_made_of(tmp_path: Path, format_: str, images: str):
    """Names lose folders, suffixes and case, and `crane` is two classes; still every box comes back to its image."""
    rows = []
    for index, key in enumerate(KEYS):
        (tmp_path / "source" / key).parent.mkdir(parents=True, exist_ok=True)
        size_wh = (60 + index, 40 + index)
        (tmp_path / "source" / key).write_bytes(encode_plain(size_wh))
        box = (index + 1, 2, 30 + index, 20 + 3 * index)
        row = make_boxes_row(key, [box], labels=[2 * (index % 2)], size_wh=size_wh)
        rows.append(replace(row, labels=(2 * (index % 2),)))
    source = str(tmp_path / "source")
    label_set = make_label_set(tmp_path / "labels", rows, class_names=UGLY_CLASSES, source=source)
    export_label_set(label_set, tmp_path / "out", format_, ExportOptions(images=images))
    truth = read_annotations(tmp_path / "out", originals_root=tmp_path / "source")
    matched = match_truth(label_set, truth, map_classes(truth, label_set.classes))
    assert (matched.report.num_pairs, matched.report.problems, matched.report.matched_by_name) == (len(KEYS), (), 0)
    for row in rows:
        np.testing.assert_allclose(matched.boxes[row.key][row.labels[0]], row.boxes.boxes, atol=0.01)
