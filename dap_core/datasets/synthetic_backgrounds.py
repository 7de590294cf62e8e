"""What lies behind and over the objects of the synthetic set: clutter below, light and grain above."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dap_core.images import RgbPixels
from dap_core.types import FloatArray

_POLYGONS = (8, 20)
_LINES = (3, 9)
_LIGHT = (0.65, 1.2)
"""Factors of the darkest and the brightest light."""
_GRAIN = 14.0
"""Width of the noise of single pixels, of 255."""


def draw_background(rng: np.random.Generator, size_wh: tuple[int, int]) -> RgbPixels:
    """Coloured clouds with irregular flat polygons and lines on them, uint8 [H, W, 3]."""
    coarse, fine = (_draw_clouds(rng, size_wh, cells) for cells in ((4, 5), (18, 25)))
    pixels = cv2.addWeighted(coarse, 0.65, fine, 0.35, 0)
    width, height = size_wh
    for _ in range(rng.integers(*_POLYGONS)):
        reach = min(size_wh) * rng.uniform(0.04, 0.25)
        centre = rng.uniform(0, (width, height))
        corners = centre + rng.uniform(-reach, reach, (rng.integers(3, 7), 2))
        cv2.fillPoly(pixels, [_to_pixels(corners)], _draw_colour(rng), cv2.LINE_AA)
    for _ in range(rng.integers(*_LINES)):
        start, end = _to_pixels(rng.uniform(0, (width, height), (2, 2))).tolist()
        cv2.line(pixels, start, end, _draw_colour(rng), int(rng.integers(1, 4)), cv2.LINE_AA)
    clutter: RgbPixels = pixels
    return clutter


def light_scene(rng: np.random.Generator, pixels: FloatArray) -> RgbPixels:
    """The scene float32 [H, W, 3] under soft uneven light, with grain, rounded to uint8."""
    height, width = pixels.shape[:2]
    lamps = rng.uniform(*_LIGHT, (3, 3)).astype(np.float32)
    light = cv2.resize(lamps, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.frombuffer(rng.bytes(pixels.size), np.uint8).reshape(pixels.shape)
    lit = pixels * light[..., None] + (grain.astype(np.float32) - 127.5) * (_GRAIN / 255)
    rounded: RgbPixels = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return rounded


def _draw_clouds(rng: np.random.Generator, size_wh: tuple[int, int], cells: tuple[int, int]) -> RgbPixels:
    colours = rng.integers(0, 256, (*cells, 3), np.uint8)
    clouds: RgbPixels = cv2.resize(colours, size_wh, interpolation=cv2.INTER_CUBIC)
    return clouds


def _draw_colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(0, 256, 3).tolist())


def _to_pixels(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(points).astype(np.int32)
