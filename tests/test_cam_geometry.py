"""Maps lie where the image shows what they respond to, for every shape of image, padding and mirroring.

A toy network of five 3x3 convolutions of stride 2 blurs the red of an image; a red rectangle painted on black
must come back as a box around the same centre. One cell is 32 canvas pixels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dap_core.cam import compute_logits, compute_maps, resize_image, run_passes
from dap_core.classifiers import Classifier
from dap_core.engines import Canvases, TorchEngine
from dap_core.labeler import PseudoLabeler
from dap_core.mining import MiningConfig, mine_boxes
from dap_core.passes import CamConfig, CellPlacement, compute_resized_size, place_cells
from dap_core.recipes import Recipe
from dap_core.types import Cam, FeatureGrid, FloatArray
from tests.builders import make_pixels, make_scene, make_toy_classifier

RED, BLUE = 0, 1
ONE_THRESHOLD = MiningConfig(thresholds=(0.3,))
SIZES_WH = [(600, 200), (200, 600), (500, 375), (333, 777), (224, 224), (321, 320), (97, 101)]


@pytest.fixture(scope="module", params=[False, True], ids=["symmetric", "same-padding"])
def toy(request) -> Classifier:
    return make_toy_classifier(asymmetric=request.param)


def make_labeler(classifier: Classifier, *short_sides: int, mirror: bool = True) -> PseudoLabeler:
    cam = CamConfig(short_sides=short_sides or (288,), mirror=mirror)
    return PseudoLabeler(classifier, recipe=Recipe(name="test", cam=cam, mining=ONE_THRESHOLD))


def make_rectangles(size_wh: tuple[int, int], count: int) -> list[tuple[int, int, int, int]]:
    """Rectangles of about a third of the shorter side, at least a fifth of it away from the border."""
    rng, side = np.random.default_rng(0), min(size_wh)
    rectangles = []
    for _ in range(count):
        width, height = rng.uniform(0.3, 0.45, 2) * side
        x = rng.uniform(0.2 * side, size_wh[0] - 0.2 * side - width)
        y = rng.uniform(0.2 * side, size_wh[1] - 0.2 * side - height)
        rectangles.append((round(x), round(y), round(x + width), round(y + height)))
    return rectangles


def mine_scenes(labeler: PseudoLabeler, size_wh: tuple[int, int], rectangles: list[tuple[int, ...]]) -> FloatArray:
    """The one box that each painted rectangle gives, [N, 4]."""
    scenes = [make_scene(size_wh, rectangle) for rectangle in rectangles]
    boxes = [image.boxes.boxes for image in labeler(scenes, ["red"] * len(scenes))]
    assert [len(one) for one in boxes] == [1] * len(scenes)
    return np.concatenate(boxes)


def centres(boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


@pytest.mark.parametrize("mirror", [False, True], ids=["plain", "mirrored"])
@pytest.mark.parametrize("size_wh", SIZES_WH, ids=str)
def test_a_box_is_centred_on_what_was_painted(toy, size_wh, mirror):
    """Which side of a cell an edge falls on shifts a centre by some hundredths of a cell, at random; a wrong
    transform shifts all of them one way: half a canvas pixel alone is 1/64 cell, 15.5 of them half a cell."""
    rectangles = make_rectangles(size_wh, 12)
    found = mine_scenes(make_labeler(toy, mirror=mirror), size_wh, rectangles)
    cell = 32 * min(size_wh) / 288
    offsets = (centres(found) - centres(np.array(rectangles))) / cell
    assert np.abs(offsets).max() < 1 / 16
    assert np.abs(offsets.mean(0)).max() < 1 / 64


def test_a_box_has_about_the_size_of_what_was_painted(toy):
    rectangles = make_rectangles((500, 375), 12)
    found = mine_scenes(make_labeler(toy), (500, 375), rectangles)
    painted = np.array(rectangles)
    ratios = (found[:, 2:] - found[:, :2]) / (painted[:, 2:] - painted[:, :2])
    np.testing.assert_allclose(ratios, 1, atol=0.15)


def test_passes_of_two_scales_and_their_mirrors_agree_on_the_place(toy):
    rectangle = (260, 60, 430, 220)
    [found] = mine_scenes(make_labeler(toy, 288, 576), (500, 375), [rectangle])
    np.testing.assert_allclose(found, rectangle, atol=0.25 * 32 * 375 / 288)


def test_each_pass_alone_sees_the_rectangle_in_the_same_place(toy):
    """The mirrored pass has cells of its own, up to 31 canvas pixels from the others: only its origin puts it right."""
    rectangle = (260, 60, 430, 220)
    [image] = make_labeler(toy, 288, 576)([make_scene((500, 375), rectangle)], ["red"])
    boxes = [mine_boxes([cam], image.size_wh, ONE_THRESHOLD).boxes.boxes for cam in image.cams]
    found = centres(np.concatenate(boxes))
    np.testing.assert_allclose(found, centres(np.array([rectangle]).repeat(4, 0)), atol=32 * 375 / 288 / 16)


def poison(cam: Cam) -> Cam:
    values = np.full_like(cam.values, 65535)
    values[: cam.valid_hw[0], : cam.valid_hw[1]] = cam.values[: cam.valid_hw[0], : cam.valid_hw[1]]
    return replace(cam, values=values)


@pytest.mark.parametrize("size_wh", [(500, 375), (375, 500), (321, 320)], ids=str)
def test_cells_in_the_padding_never_reach_a_box(toy, size_wh):
    rectangle = make_rectangles(size_wh, 1)[0]
    [image] = make_labeler(toy, 300)([make_scene(size_wh, rectangle)], ["red"])
    poisoned = [poison(cam) for cam in image.cams]
    assert any(cam.values.shape != cam.valid_hw for cam in image.cams)
    again = mine_boxes(poisoned, size_wh, ONE_THRESHOLD)
    np.testing.assert_array_equal(again.boxes.boxes, image.boxes.boxes)
    np.testing.assert_array_equal(again.boxes.scores, image.boxes.scores)


def test_cells_are_placed_by_hand():
    """A 400x300 image resized to 128x96 (3.125 px per canvas pixel) on a canvas of 128, cells on 32 i + 31.

    Plain: (31 + 0.5) * 3.125 = 98.4375. Mirrored, the last cell (127) becomes the first, at 127 - 127 = 0, centre
    0.5 * 3.125 = 1.5625. All four columns and, at 31.5, 63.5, 95.5 < 96, all three rows lie inside.
    """
    grid = FeatureGrid((31.0, 31.0), 32)
    plain = place_cells(grid, (400, 300), (128, 96), 128, (3, 4), mirrored=False)
    mirrored = place_cells(grid, (400, 300), (128, 96), 128, (3, 4), mirrored=True)
    assert plain == CellPlacement((98.4375, 98.4375), (100.0, 100.0), (3, 4))
    assert mirrored == CellPlacement((1.5625, 98.4375), (100.0, 100.0), (3, 4))


def test_cells_centred_on_padding_are_not_valid():
    """100x64 on a canvas of 128x64. Plain cells at 0.5, 32.5, 64.5, 96.5 lie inside 100; mirrored ones at 31.5, 63.5,
    95.5, 127.5: the last is padding."""
    grid = FeatureGrid((0.0, 0.0), 32)
    assert place_cells(grid, (100, 64), (100, 64), 128, (2, 4), mirrored=False).valid_hw == (2, 4)
    assert place_cells(grid, (100, 64), (100, 64), 128, (2, 4), mirrored=True).valid_hw == (2, 3)
    # rows at 31.5, 63.5, 95.5, 127.5 of 100
    assert place_cells(FeatureGrid((31.0, 31.0), 32), (64, 100), (64, 100), 64, (4, 2), mirrored=False).valid_hw == (
        3,
        2,
    )


def test_each_side_is_scaled_by_its_own_rounding():
    """100x101 resized to 32x32: 3.125 px across, 3.15625 px down per canvas pixel."""
    placed = place_cells(FeatureGrid((0.0, 0.0), 32), (100, 101), (32, 32), 32, (1, 1), mirrored=False)
    assert placed == CellPlacement((1.5625, 1.578125), (100.0, 101.0), (1, 1))


@pytest.mark.parametrize(
    ("size_wh", "expected"),
    [
        ((500, 375), (384, 288)),
        ((375, 500), (288, 384)),
        ((288, 288), (288, 288)),
        ((333, 777), (288, 672)),
        ((20, 400), (288, 5760)),
    ],
)
def test_resizing_keeps_the_aspect_ratio(size_wh, expected):
    assert compute_resized_size(size_wh, 288) == expected


def test_maps_come_once_per_label_scale_and_mirror():
    [image] = make_labeler(make_toy_classifier(), 64, 96)([make_pixels(80, 60)], [[BLUE, RED]])
    order = [(cam.label, cam.short_side, cam.mirrored) for cam in image.cams]
    assert order == [(label, side, flip) for label in (BLUE, RED) for side in (64, 96) for flip in (False, True)]


def test_a_map_is_the_linear_layer_at_every_cell_and_logits_are_its_mean(toy):
    """Without padding (96 = 3 * 32), the mean of a map over its cells and passes is the class's logit."""
    classifier = replace(toy, bias=toy.bias + 0.25)
    config = CamConfig(short_sides=(96,))
    image = resize_image(make_pixels(96, 96), config, classifier.grid.stride)
    [passes] = run_passes(TorchEngine(classifier), [image], config)
    [maps] = compute_maps(classifier, [passes], [(RED, BLUE)])
    for label, logit in enumerate(compute_logits(classifier, passes).tolist()):
        means = [cam.to_map().mean() for cam in maps.cams if cam.label == label]
        assert np.mean(means) == pytest.approx(logit, abs=1e-4)


def test_padding_is_zero_after_normalisation_and_not_before(toy):
    """Black is -2 after normalisation; were the padding painted black, cells beside it would fall."""
    engine = TorchEngine(replace(toy, mean=(0.5,) * 3, std=(0.25,) * 3))
    canvas = np.full((1, 64, 128, 3), 128, np.uint8)
    black, white = canvas.copy(), canvas.copy()
    black[:, :, 100:], white[:, :, 100:] = 0, 255
    maps = [engine.extract_features(Canvases(one, ((64, 100),)), mirror=True) for one in (black, white)]
    np.testing.assert_array_equal(*[one.numpy() for one in maps])
    assert maps[0].shape == (2, 2, 2, 4)


@pytest.mark.parametrize("short_sides", [(), (288, 288), (31,), (288, 5000)], ids=str)
def test_short_sides_that_make_no_sense_are_refused(short_sides):
    with pytest.raises(ValueError, match="scales must be"):
        CamConfig(short_sides=short_sides)


def test_images_labelled_together_equal_each_alone(toy):
    scenes = [make_scene((200, 150), (40, 30, 110, 90)), make_scene((90, 160), (20, 60, 70, 130)), make_pixels(70, 70)]
    labeler = make_labeler(toy, 64, 96)
    together = labeler(scenes, ["red", "red", "blue"])
    for image, scene, label in zip(together, scenes, ["red", "red", "blue"], strict=True):
        [alone] = labeler([scene], [label])
        np.testing.assert_array_equal(image.boxes.boxes, alone.boxes.boxes)
        assert image.label_scores == alone.label_scores
