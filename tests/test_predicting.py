"""Detectors run over encoded images: boxes in the image's pixels, mirroring, failures, label sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dap_core.boxes import compute_iou
from dap_core.detectors import Detector
from dap_core.detectors.labeling import DetectingLabeler
from dap_core.detectors.predicting import PredictionConfig, Predictor
from dap_core.errors import ImageError, InputError, ObjectMissingError
from dap_core.images.resizing import resize_to_short_side
from dap_core.recipes import PredictionRecipe
from dap_core.types import FailedImage, LabeledImage, PredictedImage
from tests.builders import encode_image, make_exif, make_smooth_pixels
from tests.detection_builders import make_found
from tests.detector_builders import TINY_CONFIG, make_tiny_detector

pytestmark = pytest.mark.usefixtures("one_thread")
EAGER = replace(TINY_CONFIG, score_threshold=0.0, max_detections=25)
ONE_BY_ONE = PredictionConfig(short_side=96, batch_size=1)
SIZES = ((200, 120), (90, 150), (128, 128), (300, 90), (64, 64))


@pytest.fixture(scope="module")
def detector() -> Detector:
    """A detector with random weights that keeps whatever it finds."""
    return make_tiny_detector("faster_rcnn", config=EAGER).eval()


def make_images() -> list[NDArray[np.uint8]]:
    """Pictures of different sizes, each with a rectangle."""
    images = []
    for index, (width, height) in enumerate(SIZES):
        pixels = make_smooth_pixels(width, height)
        pixels[height // 4 : height // 2, width // 4 : 3 * width // 4] = (250, 40 * index, 20)
        images.append(pixels)
    return images


def predict(detector: Detector, images: list[bytes], config: PredictionConfig = ONE_BY_ONE) -> list[PredictedImage]:
    found = list(Predictor(detector, config, device="cpu").predict_stream(images))
    assert all(isinstance(one, PredictedImage) for one in found)
    return found  # type: ignore[return-value]


def encode_all() -> list[bytes]:
    return [encode_image(pixels) for pixels in make_images()]


def assert_equal(one: PredictedImage, other: PredictedImage, atol: float = 0.0) -> None:
    assert one.size_wh == other.size_wh
    np.testing.assert_allclose(one.boxes, other.boxes, atol=atol)
    np.testing.assert_allclose(one.scores, other.scores, atol=atol)
    assert one.labels.tolist() == other.labels.tolist()


def test_boxes_are_those_of_the_network_in_pixels_of_the_image(detector: Detector) -> None:
    for pixels, found in zip(make_images(), predict(detector, encode_all()), strict=True):
        resized = resize_to_short_side(pixels, 96)
        with torch.inference_mode():
            [direct] = detector([torch.from_numpy(resized).permute(2, 0, 1).float() / 255])
        zoom = np.array([pixels.shape[1] / resized.shape[1], pixels.shape[0] / resized.shape[0]] * 2)
        assert found.size_wh == (pixels.shape[1], pixels.shape[0])
        assert len(found.boxes) > 5
        np.testing.assert_allclose(found.boxes, direct.boxes.numpy() * zoom, rtol=1e-3, atol=0.05)
        np.testing.assert_allclose(found.scores, direct.scores.numpy(), atol=1e-5)


def test_boxes_lie_inside_the_image_and_are_sorted(detector: Detector) -> None:
    for found in predict(detector, encode_all(), PredictionConfig(short_side=96, batch_size=3, mirror=True)):
        assert (found.boxes[:, :2] >= 0).all()
        assert (found.boxes[:, 2:] <= np.array(found.size_wh)).all()
        assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
        assert (np.diff(found.scores) <= 0).all()
        assert len(found.boxes) <= EAGER.max_detections


def test_an_image_that_exif_turns_is_seen_upright(detector: Detector) -> None:
    upright = Image.fromarray(make_images()[0])
    stored = upright.transpose(Image.Transpose.ROTATE_90)  # orientation 6 turns it back
    plain, turned = predict(detector, [encode_image(upright), encode_image(stored, "PNG", exif=make_exif(6))])
    assert (plain.exif_orientation, turned.exif_orientation) == (1, 6)
    assert_equal(plain, turned)


def test_equal_streams_give_equal_boxes_whatever_the_number_of_lanes(detector: Detector) -> None:
    images = encode_all() * 3
    config = PredictionConfig(short_side=96, batch_size=2)
    several, one = Predictor(detector, config, device="cpu"), Predictor(detector, config, device="cpu")
    several.num_lanes, one.num_lanes = 4, 1
    for left, right in zip(several.predict_stream(images), one.predict_stream(images), strict=True):
        assert isinstance(left, PredictedImage)
        assert isinstance(right, PredictedImage)
        assert_equal(left, right, atol=1e-4)


def test_a_damaged_image_is_a_failure_and_the_rest_goes_on(detector: Detector) -> None:
    images = encode_all()
    whole = predict(detector, [images[0], images[2]])
    found = list(Predictor(detector, ONE_BY_ONE, device="cpu").predict_stream([images[0], b"no image", images[2]]))
    assert isinstance(found[1], FailedImage)
    assert found[1].error.error_type == "not-an-image"
    for one, other in zip((found[0], found[2]), whole, strict=True):
        assert isinstance(one, PredictedImage)
        assert_equal(one, other)


def test_what_cannot_be_fetched_is_a_failure(detector: Detector) -> None:
    def fail(error: Exception) -> bytes:
        raise error

    sources: list[Callable[[], bytes]] = [
        partial(fail, ObjectMissingError("gone.png: no such file")),
        partial(bytes, encode_all()[0]),
        partial(fail, ImageError("unreadable-file", "bad name")),
    ]
    found = list(Predictor(detector, ONE_BY_ONE, device="cpu").predict_stream(sources))
    kinds = [one.error.error_type if isinstance(one, FailedImage) else "found" for one in found]
    assert kinds == ["source-missing", "found", "unreadable-file"]


def test_a_stream_is_read_a_few_batches_ahead_only(detector: Detector) -> None:
    taken = 0
    lock = threading.Lock()

    def stream() -> Iterator[bytes]:
        nonlocal taken
        for data in encode_all() * 40:
            with lock:
                taken += 1
            yield data

    predictor = Predictor(detector, PredictionConfig(short_side=64, batch_size=2), device="cpu")
    results = predictor.predict_stream(stream())
    next(results)
    assert taken <= 2 * 2 * predictor.num_lanes
    results.close()


def test_mirroring_finds_the_same_in_a_mirrored_image(detector: Detector) -> None:
    pixels = make_images()[2]
    config = PredictionConfig(short_side=128, batch_size=1, mirror=True)
    straight, mirrored = predict(detector, [encode_image(pixels), encode_image(cv2.flip(pixels, 1))], config)
    flipped = straight.boxes.copy()
    flipped[:, [0, 2]] = straight.size_wh[0] - straight.boxes[:, [2, 0]]
    best = compute_iou(flipped[:10], mirrored.boxes).max(axis=1)
    assert (best > 0.99).all()
    [plain] = predict(detector, [encode_image(pixels)], replace(config, mirror=False))
    assert not np.array_equal(plain.boxes[:10], straight.boxes[:10])


def test_boxes_of_both_passes_are_merged_within_a_class(detector: Detector) -> None:
    for found in predict(detector, encode_all(), PredictionConfig(short_side=96, batch_size=1, mirror=True)):
        for label in np.unique(found.labels):
            boxes = found.boxes[found.labels == label]
            overlaps = compute_iou(boxes, boxes) - np.eye(len(boxes))
            assert (overlaps <= EAGER.nms_iou + 0.03).all()  # clipping at the border changes IoU a little


def test_settings_that_cannot_be_are_refused(detector: Detector) -> None:
    with pytest.raises(ValueError, match="32 to 4096 px, got 8"):
        PredictionConfig(short_side=8)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        PredictionConfig(batch_size=0)
    with pytest.raises(InputError, match="float16 is for GPUs"):
        Predictor(detector, PredictionConfig(precision="float16"), device="cpu")
    with pytest.raises(InputError, match="'nowhere' cannot be used"):
        Predictor(detector, device="nowhere")


def test_bfloat16_finds_about_the_same(detector: Detector) -> None:
    images = encode_all()[:2]
    exact = predict(detector, images)
    short = predict(detector, images, replace(ONE_BY_ONE, precision="bfloat16"))
    for one, other in zip(exact, short, strict=True):
        assert one.boxes.dtype == other.boxes.dtype == np.float32
        assert compute_iou(one.boxes[:5], other.boxes).max(axis=1).mean() > 0.7


def test_the_best_box_of_an_image_is_always_kept() -> None:
    found = make_found((0, 0.9, (0, 0, 9, 9)), (1, 0.7, (5, 5, 9, 9)), (0, 0.2, (1, 1, 3, 3)))
    assert found.keep_confident(0.6).scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.keep_confident(0.95).scores.tolist() == pytest.approx([0.9])
    assert len(make_found().keep_confident(0.6).scores) == 0


def test_scores_are_summed_by_class() -> None:
    found = make_found((0, 0.5, (0, 0, 9, 9)), (2, 0.75, (5, 5, 9, 9)), (0, 0.25, (1, 1, 3, 3)))
    assert found.sum_scores(4).tolist() == pytest.approx([0.75, 0, 0.75, 0])


def test_labels_of_an_image_are_the_classes_that_were_found(detector: Detector) -> None:
    recipe = PredictionRecipe(short_side=96, mirror=False, batch_size=1, score_threshold=0.0, keep_score=None)
    labeler = DetectingLabeler(Predictor(detector, ONE_BY_ONE, device="cpu"), recipe)
    images = encode_all()
    labelled = list(labeler.label_stream((partial(bytes, data), ("auto",)) for data in images))
    for one, found in zip(labelled, predict(detector, images), strict=True):
        assert isinstance(one, LabeledImage)
        assert set(one.labels) == set(found.labels.tolist())
        assert one.label_scores[0] == pytest.approx(found.scores[0])
        assert one.top1 == found.sum_scores(3).argmax()
        assert one.cams == ()
        reached = one.boxes.thresholds
        assert (reached <= one.boxes.scores).all()
        assert set(reached.tolist()) <= set(np.array(recipe.thresholds, np.float32).tolist())
