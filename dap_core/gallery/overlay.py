"""One image with its heat map and boxes drawn over it, as PNG."""

from __future__ import annotations

import cv2
import numpy as np

from dap_core.gallery.pictures import blend_heat_map, shrink_image
from dap_core.images import RgbPixels
from dap_core.merging import MergedMap, sample_map
from dap_core.mining import merge_cams
from dap_core.recipes import Recipe
from dap_core.types import FloatArray, LabeledImage

COLOURS = ((64, 196, 255), (255, 196, 61), (105, 240, 174), (255, 128, 171), (179, 136, 255), (255, 255, 255))
"""RGB of the boxes of the first labels; further ones begin again."""
MAX_OVERLAY_SIDE = 2048
"""Longest side of an overlay in pixels."""


def draw_overlay(pixels: RgbPixels, image: LabeledImage, recipe: Recipe) -> bytes:
    """The upright image [H, W, 3] as PNG bytes, under the highest of its labels' maps, with the boxes of each label.

    Scaled down to at most 2,048 pixels a side; lines are as thick as the picture is large.
    """
    pixels = shrink_image(pixels, MAX_OVERLAY_SIDE)
    height, width = pixels.shape[:2]
    scale = image.size_wh[0] / width
    canvas = np.ascontiguousarray(blend_heat_map(pixels, _merge_labels(image, recipe, (width, height))))
    thickness = max(1, round(min(width, height) / 200))
    for box in image.boxes:
        x1, y1, x2, y2 = (round(float(side) / scale) for side in box.xyxy)
        colour = COLOURS[image.labels.index(box.label) % len(COLOURS)]
        corners = (x1, y1), (max(x1, x2 - 1), max(y1, y2 - 1))
        cv2.rectangle(canvas, *corners, (0, 0, 0), thickness + 2)
        cv2.rectangle(canvas, *corners, colour, thickness)
    ok, data = cv2.imencode(".png", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert ok
    return data.tobytes()


def _merge_labels(image: LabeledImage, recipe: Recipe, size_wh: tuple[int, int]) -> FloatArray:
    """The highest value of all labels at each of `size_wh` samples, float32 [H, W]; zero where no label has a map."""
    heat = np.zeros((size_wh[1], size_wh[0]), np.float32)
    for label in image.labels:
        merged = merge_cams([cam for cam in image.cams if cam.label == label], image.size_wh, recipe.mining)
        if isinstance(merged, MergedMap):
            heat = np.maximum(heat, sample_map(merged, image.size_wh, size_wh))
    return heat
