"""Single objects of the synthetic set: the outline of a shape filled with a texture of two random colours."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dap_core.datasets.synthetic_classes import Look
from dap_core.types import FloatArray

_LEAST_CONTRAST = 70.0
"""Between the brightness of the two colours of a texture, of 255."""
_BRIGHTNESS = np.array([0.299, 0.587, 0.114])
_MAX_STRETCH = 0.25
"""Natural logarithm of the largest width over height, before the turn."""
_PERIOD_SHARES = (0.16, 0.24)
_PERIOD_PX = (4.5, 14.0)
_SUBPIXEL_BITS = 4
_MARGIN_PX = 2


class Patch(NamedTuple):
    """An object on its own: colours float32 [h, w, 3] from 0 to 255, coverage float32 [h, w] from 0 to 1.

    A pixel belongs to the object where coverage is at least one half.
    """

    colours: FloatArray
    coverage: FloatArray

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels of the object, [h, w]."""
        mask: NDArray[np.bool_] = self.coverage >= 0.5
        return mask


def draw_patch(rng: np.random.Generator, look: Look, extent: float) -> Patch:
    """An object whose longer side measures `extent` pixels, turned, stretched and coloured at random."""
    outline = _make_outline(rng, look.shape, extent)
    coverage = _fill_outline(outline, rng.random(2))
    period = float(np.clip(extent * rng.uniform(*_PERIOD_SHARES), *_PERIOD_PX))
    texture = _draw_texture(rng, look.texture, coverage.shape, period)
    first, second = _choose_colours(rng)
    return Patch(first + texture[..., None] * (second - first), coverage)


def _make_regular_outline(radii: list[float], num_repeats: int) -> FloatArray:
    """Corners [K, 2] round the origin at equal angles, their distances taken in turn from `radii`."""
    distances = np.tile(np.array(radii), num_repeats)
    angles = np.arange(len(distances)) * (2 * math.pi / len(distances))
    corners = distances[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outline: FloatArray = corners.astype(np.float32)
    return outline


_OUTLINES = {
    "disc": _make_regular_outline([1.0], 48),
    "square": _make_regular_outline([1.0], 4),
    "triangle": _make_regular_outline([1.0], 3),
    "star": _make_regular_outline([1.0, 0.42], 5),
}


def _make_outline(rng: np.random.Generator, shape: str, extent: float) -> FloatArray:
    """Corners [K, 2] in pixels from the top left corner of their bounding box, whose longer side is `extent`."""
    stretch = math.exp(rng.uniform(-_MAX_STRETCH, _MAX_STRETCH) / 2)
    turned = _OUTLINES[shape] @ _make_turn(math.pi / 4) * np.array([stretch, 1 / stretch], np.float32)
    turned = turned @ _make_turn(rng.uniform(0, 2 * math.pi))
    turned -= turned.min(axis=0)
    outline: FloatArray = (turned * (extent / turned.max())).astype(np.float32)
    return outline


def _make_turn(angle: float) -> FloatArray:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], np.float32)


def _fill_outline(outline: FloatArray, shift: NDArray[np.float64]) -> FloatArray:
    """Coverage [h, w] of a filled outline with smooth edges and a margin, moved by less than a pixel."""
    width, height = np.ceil(outline.max(axis=0)).astype(int) + 2 * _MARGIN_PX + 1
    corners = np.rint((outline + _MARGIN_PX + shift) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    filled = np.zeros((height, width), np.uint8)
    cv2.fillPoly(filled, [corners], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    coverage: FloatArray = (filled / 255).astype(np.float32)
    return coverage


def _draw_texture(rng: np.random.Generator, texture: str, shape_hw: tuple[int, ...], period: float) -> FloatArray:
    """How much of the second colour each pixel has, float32 [h, w] from 0 to 1, turned and shifted at random."""
    if texture == "blotched":
        return _draw_blotches(rng, shape_hw, period)
    rows, columns = np.ogrid[: shape_hw[0], : shape_hw[1]]
    turn = _make_turn(rng.uniform(0, math.pi)) / np.float32(period)
    shifts = rng.random(2, np.float32)
    along = _measure_wave(columns * turn[0, 0] + rows * turn[0, 1] + shifts[0])
    if texture == "striped":
        return _smooth_edge((0.25 - along) * period)
    across = _measure_wave(columns * turn[1, 0] + rows * turn[1, 1] + shifts[1])
    if texture == "dotted":
        return _smooth_edge((0.33 - np.hypot(along, across)) * period)
    one, other = _smooth_edge((0.25 - along) * period), _smooth_edge((0.25 - across) * period)
    return one + other - 2 * one * other


def _measure_wave(phase: FloatArray) -> FloatArray:
    """Distance to the nearest whole number, 0 to one half."""
    distance: FloatArray = np.abs(phase - np.rint(phase)).astype(np.float32)
    return distance


def _smooth_edge(distance_px: NDArray[np.floating[Any]]) -> FloatArray:
    """1 inside and 0 outside of an edge, with one pixel between."""
    smooth: FloatArray = np.clip(distance_px + 0.5, 0, 1).astype(np.float32)
    return smooth


def _draw_blotches(rng: np.random.Generator, shape_hw: tuple[int, ...], period: float) -> FloatArray:
    height, width = shape_hw
    cells = (math.ceil(height * 1.6 / period) + 2, math.ceil(width * 1.6 / period) + 2)
    noise = cv2.resize(rng.random(cells, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return _smooth_edge((noise - 0.5) * period)


def _choose_colours(rng: np.random.Generator) -> FloatArray:
    """Two random RGB colours [2, 3] of clearly different brightness."""
    pairs = rng.uniform(15, 240, (16, 2, 3))
    contrasts = np.abs(np.diff(pairs @ _BRIGHTNESS, axis=1)[:, 0])
    chosen: FloatArray = pairs[int((contrasts >= _LEAST_CONTRAST).argmax())].astype(np.float32)
    return chosen
