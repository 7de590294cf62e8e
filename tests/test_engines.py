"""Engines against the reference: the network as it was loaded, in float32, one image at a time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from math import ceil

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray

from dap_core import PseudoLabeler
from dap_core.benchmarking.contestants import NaiveMiner
from dap_core.boxes import compute_iou
from dap_core.cam import resize_image, run_passes
from dap_core.classifiers import Classifier
from dap_core.engines import Canvases, Engine, OpenvinoEngine, TorchEngine, list_engines, make_engine
from dap_core.engines.openvino_engine import has_native_bfloat16
from dap_core.errors import InputError
from dap_core.merging import place_cams
from dap_core.passes import CamConfig
from dap_core.recipes import ALIGNED, Recipe
from dap_core.types import LabeledImage
from tests.builders import make_pixels, make_smooth_pixels, make_toy_classifier

SMALL = replace(ALIGNED, name="small", cam=CamConfig(short_sides=(96, 192)))
PHOTOS = {"chelsea": "n02124075", "coffee": "n07920052", "rocket": "n03773504", "astronaut": "n04266014"}
needs_bfloat16 = pytest.mark.skipif(not has_native_bfloat16(), reason="this CPU has no bfloat16 instructions")


@pytest.fixture(scope="module")
def photos() -> list[NDArray[np.uint8]]:
    return [getattr(skimage.data, name)() for name in PHOTOS]


@pytest.fixture(scope="module")
def reference(lite0: Classifier, photos) -> list[LabeledImage]:
    """Each photograph alone, the network as it was loaded: eager float32, four passes one after the other."""
    labeler = PseudoLabeler(recipe=SMALL, engine=NaiveMiner(lite0, SMALL))
    return [labeler([photo], [label])[0] for photo, label in zip(photos, PHOTOS.values(), strict=True)]


def merge(image: LabeledImage, recipe: Recipe = SMALL):
    merged = place_cams(image.cams, image.size_wh, recipe.mining.grid_short_side)
    assert not isinstance(merged, str)
    return merged.values


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(request, lite0: Classifier) -> Engine:
    return make_engine(lite0, engine=request.param, precision="float32", device="cpu")


def test_float32_engines_draw_the_maps_of_the_reference(engine: Engine, photos, reference):
    found = PseudoLabeler(recipe=SMALL, engine=engine)(photos, list(PHOTOS.values()))
    for ours, alone in zip(found, reference, strict=True):
        assert np.abs(merge(ours) - merge(alone)).max() < 1e-3
        np.testing.assert_allclose(ours.boxes.boxes, alone.boxes.boxes, atol=0.5)
        assert ours.label_scores == pytest.approx(alone.label_scores, rel=1e-3)


@needs_bfloat16
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_bfloat16_moves_the_boxes_little(lite0: Classifier, name: str, photos, reference):
    labeler = PseudoLabeler(recipe=SMALL, engine=make_engine(lite0, engine=name, precision="bfloat16", device="cpu"))
    for ours, alone in zip(labeler(photos, list(PHOTOS.values())), reference, strict=True):
        assert np.abs(merge(ours) - merge(alone)).mean() < 0.02
        assert compute_iou(ours.boxes.boxes, alone.boxes.boxes).max(axis=1).mean() > 0.85


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_a_wide_image_and_a_common_one_in_one_batch_each_equal_their_single_result(lite0: Classifier, name: str):
    labeler = PseudoLabeler(recipe=SMALL, engine=make_engine(lite0, engine=name, precision="float32", device="cpu"))
    images = [make_smooth_pixels(2000, 100), make_pixels(500, 375), make_smooth_pixels(500, 375)]
    together = labeler(images, [3, 5, 7])
    for ours, image, label in zip(together, images, (3, 5, 7), strict=True):
        [alone] = labeler([image], [label])
        assert np.abs(merge(ours) - merge(alone)).max() < 1e-3
        np.testing.assert_allclose(ours.boxes.boxes, alone.boxes.boxes, atol=0.5)


def test_images_of_one_canvas_size_share_batches_that_hold_batch_pixels():
    engine = TorchEngine(make_toy_classifier())
    engine.batch_pixels = 3 * 96 * 128
    calls: list[tuple[int, ...]] = []
    extract = engine.extract_features

    def note(canvases: Canvases, *, mirror: bool):
        calls.append(canvases.pixels.shape)
        return extract(canvases, mirror=mirror)

    engine.extract_features = note  # type: ignore[method-assign]
    config = CamConfig(short_sides=(96,))
    sizes = [(400, 300)] * 7 + [(300, 400)] * 2
    images = [resize_image(make_pixels(*size), config, 32) for size in sizes]
    passes = run_passes(engine, images, config)
    assert [shape[:3] for shape in calls] == [(3, 96, 128), (3, 96, 128), (1, 96, 128), (2, 128, 96)]
    assert [len(one) for one in passes] == [2] * 9


def test_the_second_half_of_a_mirrored_batch_is_the_mirrored_canvases(engine: Engine):
    pixels = np.stack([make_smooth_pixels(128, 96), make_pixels(128, 96)])
    both = engine.extract_features(Canvases(pixels, ((96, 128), (96, 128))), mirror=True)
    flipped = engine.extract_features(Canvases(pixels[:, :, ::-1].copy(), ((96, 128), (96, 128))), mirror=False)
    assert both.shape[0] == 4
    torch.testing.assert_close(both[2:], flipped, atol=1e-3, rtol=1e-3)


def test_padding_is_zero_after_normalisation_whatever_is_painted_there(engine: Engine):
    black, white = np.full((2, 1, 96, 160, 3), 128, np.uint8)
    black[:, :, 130:], white[:, :, 130:] = 0, 255
    found = [engine.extract_features(Canvases(one, ((96, 130),)), mirror=True) for one in (black, white)]
    torch.testing.assert_close(*found, atol=0, rtol=0)


def test_any_size_runs_through_one_engine(engine: Engine):
    for width, height in ((96, 96), (192, 96), (96, 320), (96, 96)):
        features = engine.extract_features(Canvases(make_pixels(width, height)[None], ((height, width),)), mirror=False)
        assert features.shape == (1, 1280, ceil(height / 32), ceil(width / 32))


def test_auto_takes_the_first_that_is_available(lite0: Classifier):
    chosen = next(choice for choice in list_engines("cpu") if choice.available)
    engine = make_engine(lite0, device="cpu")
    assert (engine.name, engine.precision) == (chosen.engine, chosen.precision)
    assert chosen.engine == "openvino"  # installed with the development extra


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"engine": "tensorrt"}, ValueError, "engine must be one of auto, torch, openvino"),
        ({"precision": "int4"}, ValueError, "precision of auto, float32"),
        ({"precision": "float16", "device": "cpu"}, InputError, "cannot be had"),
        ({"engine": "openvino", "precision": "float16", "device": "cpu"}, InputError, "cannot be had"),
        ({"device": "abacus"}, InputError, "device 'abacus' cannot be used"),
    ],
)
def test_what_is_not_to_be_had_is_said(options, error, message):
    with pytest.raises(error, match=message):
        make_engine(make_toy_classifier(), **options)


def test_float16_on_the_cpu_is_refused():
    with pytest.raises(InputError, match="float16 is for GPUs"):
        TorchEngine(make_toy_classifier(), device="cpu", precision="float16")


def test_without_openvino_torch_is_taken_and_the_reason_is_said():
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from dap_core.engines import OpenvinoEngine, list_engines\n"
        "print(*[(c.engine, c.available, c.reason) for c in list_engines('cpu')], sep='\\n')\n"
        "try: OpenvinoEngine(None)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "('openvino', False, \"OpenVINO is not installed: pip install 'dap[cpu]'\")" in printed
    assert "('torch', True, 'the reference')" in printed
    assert "InputError OpenVINO is not installed" in printed


def test_a_network_that_openvino_cannot_convert_is_refused_with_the_reason():
    class Odd(torch.nn.Module):
        def forward(self, images):
            return torch.linalg.svd(images).S[..., None]

    with pytest.raises(InputError, match="OpenVINO cannot run odd; take the torch engine"):
        OpenvinoEngine(replace(make_toy_classifier(), name="odd", backbone=Odd()))
