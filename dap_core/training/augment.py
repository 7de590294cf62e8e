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
from dap_core.images.resizing import resize_to_short_side
from dap_core.training.order import make_generator
from dap_core.training.samples import Sample
from dap_core.types import FloatArray


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

    def split(self, parts: int) -> list[TrainingBatch]:
        """The batch in parts of equal size. Raises ValueError when it cannot be."""
        size, rest = divmod(len(self.keys), parts)
        if rest:
            raise ValueError(f"a batch of {len(self.keys)} images cannot be split into {parts} equal parts")
        columns = (self.keys, self.images, self.boxes, self.labels)
        return [
            TrainingBatch(self.step, *(column[start : start + size] for column in columns))  # type: ignore[arg-type]
            for start in range(0, len(self.keys), size)
        ]


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
