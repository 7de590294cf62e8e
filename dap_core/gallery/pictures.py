"""Pixels of a page: thumbnails and heat maps as small JPEGs in `data:` addresses."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from dap_core.images import RgbPixels, encode_jpeg
from dap_core.types import FloatArray

MAX_SIDE = 320
"""Longest side of a picture in pixels."""
PAGE_BYTES = 3_600_000
"""What all pictures of a page may take together, written as base64."""

_HEAT_SHARE = 0.62  # of the colour in a blended pixel; the rest is the photograph in grey
_TRIES = ((MAX_SIDE, 85), (MAX_SIDE, 72), (MAX_SIDE, 55), (240, 55), (176, 50), (128, 40), (96, 25))  # side, quality


def compute_picture_bytes(num_pictures: int) -> int:
    """The JPEG bytes that one of `num_pictures` may take so that the page keeps within PAGE_BYTES."""
    return PAGE_BYTES * 3 // 4 // max(1, num_pictures)


def shrink_image(pixels: RgbPixels, max_side: int = MAX_SIDE) -> RgbPixels:
    """The image scaled down so that its longer side has at most `max_side` pixels; never scaled up."""
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def blend_heat_map(pixels: RgbPixels, heat: FloatArray) -> RgbPixels:
    """A map in [0, 1] of the size of the image, in the colours of inferno over the greyed image."""
    levels = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(colours, _HEAT_SHARE, grey, 1 - _HEAT_SHARE, 0), np.uint8)


def encode_picture(pixels: RgbPixels, max_bytes: int) -> str:
    """The image as a `data:` address of a JPEG, of the best size and quality that keep within `max_bytes`.

    The smallest is taken when none does.
    """
    data = b""
    for max_side, quality in _TRIES:
        data = encode_jpeg(shrink_image(pixels, max_side), quality)
        if len(data) <= max_bytes:
            break
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
