"""The page cuts boxes as the library does: `mining.js` in a real browser against `dap_core.mining`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dap_core import PseudoLabeler
from dap_core.merging import compute_grid_size, normalise_map
from dap_core.mining import MiningConfig, merge_cams, mine_boxes
from dap_core.recipes import RECIPES
from dap_core.types import Cam, MinedBoxes
from tests.builders import make_cam, make_smooth_map
from tests.web_builders import describe_cam, open_browser, open_modules

if TYPE_CHECKING:
    from playwright.sync_api import Page

NUM_IMAGES = 64
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"nms_iou": 0.5},
    {"nms_iou": 1.0},
    {"thresholds": (0.05, 0.3, 0.7)},
    {"thresholds": (0.45,), "nms_iou": 0.3},
    {"thresholds": (0.61, 0.0, 0.15, 0.33, 0.9), "nms_iou": 0.65},
)
"""What the sliders of the page may change."""

_CUT = """async ([images, minings]) => {
  const { decodeCam, mineBoxes } = await import("/web/mining.js");
  return images.map(({ cams, size }) => {
    const decoded = cams.map(decodeCam);
    return minings.map((mining) => mineBoxes(decoded, size, mining));
  });
}"""


@dataclass(frozen=True)
class Mapped:
    """The maps of an image."""

    cams: tuple[Cam, ...]
    size_wh: tuple[int, int]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with open_browser() as browser:
        yield open_modules(browser)


@pytest.fixture(scope="module")
def labeler() -> PseudoLabeler:
    return PseudoLabeler()


def list_settings() -> list[MiningConfig]:
    """Every recipe with every change."""
    return [replace(recipe.mining, **change) for recipe in RECIPES.values() for change in CHANGES]


def cut_in_browser(page: Page, images: Sequence[Mapped], minings: Sequence[MiningConfig]) -> list[list[dict[str, Any]]]:
    """What `mineBoxes` gives for each image and setting."""
    described = [{"cams": [describe_cam(cam) for cam in one.cams], "size": one.size_wh} for one in images]
    cut: list[list[dict[str, Any]]] = page.evaluate(_CUT, [described, [asdict(mining) for mining in minings]])
    return cut


def is_same(found: dict[str, Any], expected: MinedBoxes, tolerance_px: float) -> bool:
    """Whether both have the same boxes in the same order, and the same labels without boxes."""
    boxes, reasons = found["boxes"], [(one["label"], one["reason"]) for one in found["noBoxReasons"]]
    if [box["label"] for box in boxes] != expected.boxes.labels.tolist() or tuple(reasons) != expected.no_box_reasons:
        return False
    if not boxes:
        return True
    corners = np.array([box["xyxy"] for box in boxes])
    others = np.array([[box["score"], box["threshold"]] for box in boxes])
    wanted = np.stack([expected.boxes.scores, expected.boxes.thresholds], axis=1)
    return bool(
        (np.abs(corners - expected.boxes.boxes) <= tolerance_px).all() and np.allclose(others, wanted, atol=1e-3)
    )


def measure_agreement(
    page: Page, images: Sequence[Mapped], minings: Sequence[MiningConfig], tolerance_px: float
) -> list[float]:
    """For each setting, the share of images that give the same boxes."""
    found = cut_in_browser(page, images, minings)
    same = [
        [
            is_same(one, mine_boxes(image.cams, image.size_wh, mining), tolerance_px)
            for one, mining in zip(cuts, minings, strict=True)
        ]
        for image, cuts in zip(images, found, strict=True)
    ]
    return [float(share) for share in np.mean(same, axis=0)]


def map_images(labeler: PseudoLabeler, files: Sequence[Path], labels: Sequence[Any]) -> list[Mapped]:
    """The maps of image files."""
    return [Mapped(image.cams, image.size_wh) for image in labeler(files, labels)]


def make_passes(seed: int, size_wh: tuple[int, int], label: int) -> tuple[Cam, ...]:
    """Maps of two scales of one label, with padding to the right and below."""
    shapes = (((9, 12), (8, 11), 288), ((18, 24), (17, 23), 576))
    return tuple(
        make_cam(make_smooth_map(shape, seed + side), label=label, size_wh=size_wh, short_side=side, valid_hw=valid)
        for shape, valid, side in shapes
    )


@pytest.mark.parametrize("size_wh", [(640, 480), (333, 500), (97, 96), (1200, 100)])
def test_drawn_maps_give_the_boxes_of_the_library_for_every_recipe(page: Page, size_wh: tuple[int, int]):
    images = [Mapped(make_passes(seed, size_wh, 3) + make_passes(seed + 5, size_wh, 1), size_wh) for seed in range(8)]
    assert set(measure_agreement(page, images, list_settings(), tolerance_px=0.01)) == {1}


@pytest.mark.parametrize("recipe", RECIPES)
def test_labels_without_boxes_have_the_reason_of_the_library(page: Page, recipe: str):
    flat, broken, dot = np.ones((6, 8), np.float32), np.full((6, 8), np.nan, np.float32), np.zeros((6, 8), np.float32)
    dot[2, 3] = 1
    cams = tuple(make_cam(values, label=label, size_wh=(80, 60)) for label, values in enumerate((flat, broken, dot)))
    assert set(
        measure_agreement(page, [Mapped(cams, (80, 60)), Mapped((), (80, 60))], [RECIPES[recipe].mining], 0.01)
    ) == {1}


def test_what_the_recipes_leave_alone_is_ported_as_well(page: Page):
    """Each field of the record away from its default."""
    changes: list[dict[str, Any]] = [
        {"connectivity": 4},
        {"region": "rectangle", "max_components": 1},
        {"max_components": 2, "min_area_ratio": 0},
        {"tightness": 1.0, "edge_px": 3},
        {"weight_bias": 0.4, "min_side": 9},
        {"nms_order": "score", "nms_inclusive": True, "nms_iou": 0.4},
        {"floor_percentile": 37.5, "grid_short_side": 50},
        {"nms_iou": 0.0},
    ]
    images = [Mapped(make_passes(seed, (300, 211), 0), (300, 211)) for seed in range(12)]
    minings = [replace(RECIPES["paper"].mining, **change) for change in changes]
    assert set(measure_agreement(page, images, minings, tolerance_px=0.01)) == {1}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_map_that_is_shown_is_the_one_that_is_cut(page: Page, recipe: str):
    """Cell by cell, to the last bits of float32."""
    mining, size_wh = RECIPES[recipe].mining, (413, 300)
    cams = make_passes(4, size_wh, 0)
    expected = merge_cams(cams, size_wh, mining)
    assert not isinstance(expected, str)
    script = """async ([cams, size, mining]) => {
      const { decodeCam, mergeCams } = await import("/web/mining.js");
      const map = mergeCams(cams.map(decodeCam), size, mining);
      return { ...map, values: [...map.values] };
    }"""
    found = page.evaluate(script, [[describe_cam(cam) for cam in cams], size_wh, asdict(mining)])
    assert (found["rows"], found["columns"]) == expected.values.shape
    np.testing.assert_allclose(found["pitchXY"], expected.pitch_xy, rtol=1e-12)
    np.testing.assert_allclose(found["values"], expected.values.ravel(), atol=2e-6)


def test_percentiles_and_grids_are_rounded_as_in_numpy(page: Page):
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=size).astype(np.float32).reshape(1, -1) for size in (2, 3, 50, 1001)]
    sizes = [(451, 300), (300, 451), (144, 96), (97, 64), (1000, 33)]
    script = """async ([maps, sizes]) => {
      const { computeGridSize, normaliseMap } = await import("/web/merging.js");
      return [
        maps.map((map) => [10, 33.3, 99].map((percent) => [...normaliseMap(Float32Array.from(map), percent)])),
        sizes.map((size) => [96, 50, 33].map((side) => computeGridSize(size, side))),
      ];
    }"""
    normalised, grids = page.evaluate(script, [[one.ravel().tolist() for one in maps], sizes])
    for values, found in zip(maps, normalised, strict=True):
        for percent, one in zip((10, 33.3, 99), found, strict=True):
            expected = normalise_map(values, percent)
            assert expected is not None
            np.testing.assert_array_equal(one, expected.ravel())
    assert grids == [[list(compute_grid_size(size, side)) for side in (96, 50, 33)] for size in sizes]


def test_scores_are_written_with_the_digits_that_tell_them_apart(page: Page):
    values = [float(np.float32(text)) for text in ("0.12", "0.1", "0.33333334", "1", "0", "0.42391205")]
    script = "async (values) => { const { shorten } = await import('/web/numbers.js'); return values.map(shorten); }"
    assert page.evaluate(script, values) == [float(str(np.float32(value))) for value in values]


def test_photographs_give_the_boxes_of_the_library(page: Page, labeler: PseudoLabeler):
    """With several labels for an image, and maps from the network."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    folder = Path(data.__file__).parent
    files = [folder / name for name in ("chelsea.png", "coffee.png", "rocket.jpg", "camera.png")]
    labels = [["Egyptian cat", "tabby"], "espresso", "missile", ["tripod", "reflex camera"]]
    images = map_images(labeler, files, labels)
    assert set(measure_agreement(page, images, list_settings(), tolerance_px=0.5)) == {1}


@pytest.mark.soak
@pytest.mark.real_data
def test_imagenet_photographs_give_the_boxes_of_the_library(page: Page, labeler: PseudoLabeler, data_dir: Path):
    folder = data_dir / "imagenet-320"
    if not folder.is_dir():
        pytest.skip("imagenet-320 is not there")
    files = sorted(folder.glob("*/*.JPEG"))[:: 320 // NUM_IMAGES][:NUM_IMAGES]
    images = map_images(labeler, files, [file.parent.name for file in files])
    agreement = measure_agreement(page, images, list_settings(), tolerance_px=0.5)
    assert min(agreement) >= 0.99, agreement
