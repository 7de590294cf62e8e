"""Step 2a: multi-scale, mirrored class activation maps (section 3.1, step 2; section 4.1).

Takes an upright image and an engine; gives one `Cam` per forward pass and label, each with its own true
position in the image. The passes are neither averaged nor normalised here: that is the recipe's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dap_core.classifiers import Classifier
from dap_core.engines import Canvases, Engine
from dap_core.images import RgbPixels
from dap_core.passes import CANVAS_MULTIPLE, CamConfig, CellPlacement, compute_resized_size, place_cells
from dap_core.types import Cam


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """The features float32 [C, h, w] of one image at one scale, mirrored back, and where its cells lie."""

    short_side: int
    mirrored: bool
    features: Tensor
    cells: CellPlacement


def run_passes(engine: Engine, pixels: RgbPixels, config: CamConfig) -> list[ForwardPass]:
    """All forward passes of one upright RGB image uint8 [H, W, 3], in the order of scales, mirror last."""
    size_wh = (pixels.shape[1], pixels.shape[0])
    grid = engine.classifier.grid
    passes = []
    for short_side in config.short_sides:
        resized_wh = compute_resized_size(size_wh, short_side)
        canvas = _make_canvas(pixels, resized_wh, int(np.lcm(CANVAS_MULTIPLE, grid.stride)))
        canvases = Canvases(canvas[None], ((resized_wh[1], resized_wh[0]),))
        features = engine.extract_features(canvases, mirror=config.mirror)
        for mirrored, one in zip((False, True), features, strict=False):
            placed = place_cells(grid, size_wh, resized_wh, canvas.shape[1], one.shape[-2:], mirrored)
            passes.append(ForwardPass(short_side, mirrored, one.flip(-1) if mirrored else one, placed))
    return passes


def compute_logits(classifier: Classifier, passes: Sequence[ForwardPass]) -> Tensor:
    """The classifier's logits [K], each pass pooled over the cells inside the image, then averaged."""
    pooled = [one.features[:, : one.cells.valid_hw[0], : one.cells.valid_hw[1]].mean((1, 2)) for one in passes]
    mean = torch.stack(pooled).mean(0)
    return mean @ classifier.weight.to(mean.device).T + classifier.bias.to(mean.device)


def compute_cams(classifier: Classifier, passes: Sequence[ForwardPass], labels: Iterable[int]) -> tuple[Cam, ...]:
    """One map per label and pass: the last linear layer as a 1x1 convolution, no activation (section 3.1).

    All labels of an image come from the same features. Class weights are applied before anything leaves
    the device. Rounded to 16 bits, so that mining now and re-cutting later see the same values.
    """
    indices = list(labels)
    by_pass = [_project(classifier, one.features, indices) for one in passes]
    return tuple(
        Cam.from_map(
            maps[row],
            label=label,
            short_side=one.short_side,
            mirrored=one.mirrored,
            origin_xy=one.cells.origin_xy,
            pitch_xy=one.cells.pitch_xy,
            valid_hw=one.cells.valid_hw,
        )
        for (row, label), (one, maps) in product(enumerate(indices), zip(passes, by_pass, strict=True))
    )


def _project(classifier: Classifier, features: Tensor, labels: Sequence[int]) -> NDArray[np.float32]:
    weight = classifier.weight[list(labels)].to(features.device)  # [K, C]
    bias = classifier.bias[list(labels)].to(features.device)
    maps = torch.einsum("kc,chw->khw", weight, features) + bias[:, None, None]
    return maps.cpu().numpy()


def _make_canvas(pixels: RgbPixels, resized_wh: tuple[int, int], multiple: int) -> RgbPixels:
    """The resized image top left on a canvas whose sides are multiples of `multiple`."""
    shrinks = resized_wh[0] < pixels.shape[1]
    resized = cv2.resize(pixels, resized_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    width, height = (-(-side // multiple) * multiple for side in resized_wh)
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: resized_wh[1], : resized_wh[0]] = resized
    return canvas
