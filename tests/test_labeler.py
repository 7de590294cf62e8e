"""The labeler from outside: kinds of images and labels, failures in their place, and real photographs."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from dap_core.engines import TorchEngine
from dap_core.errors import ImageError, InputError, UnknownLabelError
from dap_core.images import ImageLimits
from dap_core.labeler import PseudoLabeler
from dap_core.passes import CamConfig
from dap_core.recipes import ALIGNED, PAPER, Recipe
from dap_core.types import FailedImage, LabeledImage
from tests.builders import encode_image, make_exif, make_pixels, make_scene, make_toy_classifier

SMALL = replace(PAPER, name="small", cam=CamConfig(short_sides=(64, 96)))
SCENE = make_scene((200, 150), (40, 30, 110, 90))
SCENE[100:140, 120:190] = (0, 0, 255)


@pytest.fixture(scope="module")
def labeler() -> PseudoLabeler:
    """A labeler whose classes are red and blue."""
    return PseudoLabeler(make_toy_classifier(), recipe=SMALL)


def assert_same(found: LabeledImage, expected: LabeledImage) -> None:
    np.testing.assert_array_equal(found.boxes.boxes, expected.boxes.boxes)
    np.testing.assert_array_equal(found.boxes.labels, expected.boxes.labels)
    np.testing.assert_array_equal(found.boxes.scores, expected.boxes.scores)
    assert (found.labels, found.label_scores, found.top1) == (expected.labels, expected.label_scores, expected.top1)
    assert found.size_wh == expected.size_wh


def test_bytes_paths_arrays_and_pil_images_of_the_same_pixels_give_the_same(labeler, tmp_path):
    data = encode_image(SCENE, "PNG")
    path = tmp_path / "a photo, with spaces & a lie.jpg"  # PNG inside
    path.write_bytes(data)
    kinds = [data, path, str(path), SCENE, Image.fromarray(SCENE), Image.open(io.BytesIO(data))]
    first, *others = labeler(kinds, ["red"] * len(kinds))
    assert len(first.boxes) > 0
    for other in others:
        assert_same(other, first)


@pytest.mark.parametrize("label", ["x1", "blue", "Blue", 1, np.int64(1), "1", ["x1"], ("blue", 1, "x1")], ids=repr)
def test_a_label_is_given_as_wnid_name_or_index_alone_or_in_a_list(labeler, label):
    [found] = labeler([SCENE], [label])
    [expected] = labeler([SCENE], [1])
    assert found.labels == (1,)
    assert_same(found, expected)


def test_several_labels_give_the_boxes_of_each_one_alone(labeler):
    [both] = labeler([SCENE], [["blue", "red"]])
    alone = labeler([SCENE, SCENE], ["blue", "red"])
    assert both.labels == (1, 0)
    assert both.label_scores == tuple(one.label_scores[0] for one in alone)
    for image in alone:
        mine = both.boxes.boxes[both.boxes.labels == image.labels[0]]
        assert len(mine) > 0
        np.testing.assert_array_equal(mine, image.boxes.boxes)


def test_auto_stands_for_the_first_choice_of_the_classifier(labeler):
    [found] = labeler([SCENE], ["auto"])
    assert (found.labels, found.label_scores) == ((found.top1,), (found.top1_score,))
    assert found.top1 == 0  # more red than blue
    assert_same(found, labeler([SCENE], ["red"])[0])


def test_scores_are_probabilities(labeler):
    [found] = labeler([SCENE], [["red", "blue"]])
    assert sum(found.label_scores) == pytest.approx(1)
    assert found.top1_score == max(found.label_scores)


def test_an_image_that_says_nothing_has_a_reason_and_no_boxes(labeler):
    [found] = labeler([np.zeros((64, 64, 3), np.uint8)], ["red"])
    assert len(found.boxes) == 0
    assert found.mined.no_box_reasons == ((0, "flat-map"),)


def make_failures(folder: Path) -> list[tuple[object, object, str]]:
    page = folder / "page.jpg"
    page.write_bytes(b"<html>404 Not Found</html>")
    return [
        (page, "red", "not-an-image"),
        (b"", "red", "empty-image"),
        (encode_image(make_pixels(), "JPEG")[:-200], "red", "truncated-image"),
        (folder / "none.jpg", "red", "unreadable-file"),
        (str(folder / "zero\0byte.jpg"), "red", "unreadable-file"),
        (folder, "red", "unreadable-file"),
        (make_pixels(8, 8), "red", "image-too-small"),
        (SCENE, "green", "unknown-label"),
        (SCENE, ["red", 2], "unknown-label"),
        (SCENE, [], "no-label"),
    ]


def test_an_image_that_cannot_be_labelled_fails_in_its_place_and_the_others_go_on(labeler, tmp_path):
    failures = make_failures(tmp_path)
    images, labels, kinds = zip(*failures, strict=True)
    found = labeler.label_each([SCENE, *images, SCENE], ["red", *labels, "blue"])
    assert [one.error.error_type for one in found if isinstance(one, FailedImage)] == list(kinds)
    [expected_first, expected_last] = labeler([SCENE, SCENE], ["red", "blue"])
    assert_same(found[0], expected_first)
    assert_same(found[-1], expected_last)


def test_calling_the_labeler_raises_what_label_each_returns(labeler, tmp_path):
    for image, label, kind in make_failures(tmp_path):
        with pytest.raises((ImageError, UnknownLabelError)) as caught:
            labeler([SCENE, image], ["red", label])
        assert caught.value.error_type == kind


def test_as_many_labels_as_images_are_needed(labeler):
    with pytest.raises(ValueError, match="got 2 images and 1 labels"):
        labeler([SCENE, SCENE], ["red"])
    with pytest.raises(ValueError, match="got 0 images and 3 labels"):
        labeler.label_each([], "red")
    assert labeler([], []) == []


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_boxes_of_a_turned_photograph_lie_in_the_upright_frame(labeler, orientation):
    """The file stores the scene turned; boxes must be those of the upright scene."""
    turns = {3: 2, 6: 1, 8: 3}[orientation]  # counter-clockwise quarter turns that the orientation takes back
    stored = np.ascontiguousarray(np.rot90(SCENE, turns))
    [found] = labeler([encode_image(stored, "JPEG", quality=95, exif=make_exif(orientation))], ["red"])
    [upright] = labeler([encode_image(SCENE, "JPEG", quality=95)], ["red"])
    assert (found.exif_orientation, found.size_wh) == (orientation, (200, 150))
    np.testing.assert_allclose(found.boxes.boxes, upright.boxes.boxes, atol=2)


def test_limits_of_the_labeler_hold():
    strict = PseudoLabeler(make_toy_classifier(), recipe=SMALL, limits=ImageLimits(max_pixels=1000))
    with pytest.raises(ImageError, match="more than the limit of 1,000"):
        strict([SCENE], ["red"])


def test_a_recipe_is_given_by_name_or_as_a_value():
    classifier = make_toy_classifier()
    assert PseudoLabeler(classifier, recipe="paper").recipe is PAPER
    assert PseudoLabeler(classifier).recipe is ALIGNED
    with pytest.raises(InputError, match="no recipe"):
        PseudoLabeler(classifier, recipe="none")


def test_the_labeler_runs_a_copy_of_the_backbone():
    classifier = make_toy_classifier()
    labeler = PseudoLabeler(classifier, recipe=SMALL)
    [before] = labeler([SCENE], ["red"])
    with torch.no_grad():
        classifier.backbone[0].weight.zero_()
    assert_same(labeler([SCENE], ["red"])[0], before)


@pytest.fixture(scope="module")
def real_labeler(lite0) -> PseudoLabeler:
    """The bundled classifier with one pass per image."""
    return PseudoLabeler(lite0, recipe=Recipe(name="one pass", cam=CamConfig(short_sides=(288,)), mining=PAPER.mining))


@pytest.mark.parametrize(
    ("photograph", "wnid", "name"),
    [("chelsea", "n02124075", "Egyptian cat"), ("coffee", "n07920052", "espresso")],
)
def test_the_bundled_classifier_knows_real_photographs(real_labeler, photograph, wnid, name):
    pixels = getattr(skimage.data, photograph)()
    [found] = real_labeler([pixels], ["auto"])
    top1 = real_labeler.classifier.classes[found.top1]
    assert (top1.wnid, top1.name) == (wnid, name)
    assert len(found.boxes) > 0


def test_a_mirrored_photograph_has_mirrored_boxes(real_labeler):
    """288 is 9 * 32, so there is no padding: the passes are the same ones in the other order."""
    pixels = np.ascontiguousarray(skimage.data.chelsea()[:300, 100:400])
    [found, mirrored] = real_labeler([pixels, pixels[:, ::-1]], ["Egyptian cat"] * 2)
    expected = mirrored.boxes.boxes[:, [2, 1, 0, 3]]
    expected[:, [0, 2]] = 300 - expected[:, [0, 2]]
    np.testing.assert_allclose(found.boxes.boxes, expected, atol=3)


def test_a_window_and_a_stream_give_the_same_and_failures_stand_in_their_place(labeler):
    items = [(SCENE, "red"), (b"no image", "red"), (SCENE, "blue"), (SCENE, "green")]
    window, stream = labeler.label_window(items), list(labeler.label_stream(items))
    assert [type(item) for item in window] == [type(item) for item in stream]
    assert [type(item) for item in window] == [LabeledImage, FailedImage, LabeledImage, FailedImage]
    assert_same(window[0], stream[0])


def test_another_recipe_shares_the_engine_and_leaves_the_first_labeler_alone(labeler):
    other = labeler.with_recipe(replace(SMALL, mining=replace(SMALL.mining, thresholds=(0.45,))))
    [few], [all_of_them] = other([SCENE], ["red"]), labeler([SCENE], ["red"])
    assert other.engine is labeler.engine
    assert set(few.boxes.thresholds.tolist()) == {np.float32(0.45)}
    assert len(all_of_them.boxes) > len(few.boxes) > 0


def test_images_of_large_windows_are_decoded_in_threads_and_come_in_order():
    """As on a GPU: a window of several images, one network run at a time, lanes that overlap."""
    engine = TorchEngine(make_toy_classifier())
    engine.window, engine.lanes, engine.batch_pixels = 4, 1, 10**6
    windowed, plain = PseudoLabeler(recipe=SMALL, engine=engine), PseudoLabeler(make_toy_classifier(), recipe=SMALL)
    assert windowed.num_lanes == 3
    images = [make_scene((160 + 8 * step, 120), (10 * step, 20, 60 + 10 * step, 90)) for step in range(10)]
    for ours, alone in zip(windowed(images, ["red"] * 10), plain(images, ["red"] * 10), strict=True):
        np.testing.assert_allclose(ours.boxes.boxes, alone.boxes.boxes, atol=0.1)


def test_errors_of_images_travel_between_processes():
    error = pickle.loads(pickle.dumps(FailedImage(ImageError("empty-image", "the file is empty")))).error
    assert (error.error_type, str(error)) == ("empty-image", "the file is empty")
