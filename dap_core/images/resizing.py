"""The size at which a detector sees an image, the same when it is trained and when it is run."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_ASPECT = 2.0
"""The long side is at most so many times the short side: a wider image is made smaller."""


def resize_to_short_side(pixels: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """Pixels uint8 [H, W, 3] whose short side is `short_side`, or smaller where the long one would be too long."""
    height, width = pixels.shape[:2]
    scale = min(short_side / min(height, width), MAX_ASPECT * short_side / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=way), np.uint8)
