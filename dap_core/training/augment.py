"""Encoded images with boxes to what a detector is fed: decoded, resized to a short side, mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dap_core.errors import ImageError
from dap_core.images import decode_image
from dap_core.training.order import make_generator
from dap_core.training.samples import Sample
from dap_core.types import FloatArray

MAX_ASPECT = 2.0
"""The long side is at most so many times the short side: a wider image is made smaller."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """What one step trains on.

    `images` are uint8 [3, H, W] of several sizes, `boxes` float32 [n, 4] xyxy in their pixels, `labels` int64 [n].
    """

    step: int
    keys: tuple[str, ...]
    images: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How training images are changed; the short side of a batch is drawn from `short_sides` (pixels)."""

    short_sides: tuple[int, ...] = (96, 160, 320, 640)
    """Section 4.1."""
    mirror: bool = True

    def draw_short_side(self, seed: int, step: int) -> int:
        """The short side of all images of a batch."""
        return int(make_generator("short side", seed, step).choice(self.short_sides))


def make_batch(step: int, samples: Sequence[Sample], config: AugmentConfig, seed: int) -> TrainingBatch:
    """The batch of a step, the same for the same seed. Raises ImageError naming the image that cannot be decoded."""
    short_side = config.draw_short_side(seed, step)
    parts = [_prepare(sample, short_side, _is_mirrored(config, seed, step, sample.key)) for sample in samples]
    return TrainingBatch(
        step,
        tuple(sample.key for sample in samples),
        tuple(torch.from_numpy(pixels) for pixels, _ in parts),
        tuple(torch.from_numpy(boxes) for _, boxes in parts),
        tuple(torch.from_numpy(sample.labels) for sample in samples),
    )


def resize_to_short_side(pixels: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """Pixels uint8 [H, W, 3] whose short side is `short_side`, or smaller where the long one would be too long."""
    height, width = pixels.shape[:2]
    scale = min(short_side / min(height, width), MAX_ASPECT * short_side / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=way), np.uint8)


def _is_mirrored(config: AugmentConfig, seed: int, step: int, key: str) -> bool:
    return config.mirror and bool(make_generator("mirror", seed, step, key).integers(2))


def _prepare(sample: Sample, short_side: int, mirrored: bool) -> tuple[NDArray[np.uint8], FloatArray]:
    try:
        pixels = decode_image(sample.data).pixels
    except ImageError as error:
        raise ImageError(error.error_type, f"{sample.key}: {error}") from error
    height, width = pixels.shape[:2]
    resized = resize_to_short_side(pixels, short_side)
    new_height, new_width = resized.shape[:2]
    boxes = sample.boxes * np.array([new_width / width, new_height / height] * 2, np.float32)
    if mirrored:
        resized = cv2.flip(resized, 1)
        boxes = np.stack([new_width - boxes[:, 2], boxes[:, 1], new_width - boxes[:, 0], boxes[:, 3]], axis=1)
    return np.ascontiguousarray(resized.transpose(2, 0, 1)), boxes.astype(np.float32)
