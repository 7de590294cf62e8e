"""Encoded images with labels to what a classifier is trained on: decoded, a random crop at one size, mirrored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dap_core.errors import ImageError, TooManyFailuresError
from dap_core.images import decode_image
from dap_core.training.labelled_samples import LabelledImage, Targets
from dap_core.training.left_out import Problem
from dap_core.training.order import make_generator

_LOG_ASPECT = math.log(4 / 3)
_NUM_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CropConfig:
    """Random crops of `size` x `size` pixels (inception crops: Szegedy et al., 2015), mirrored half of the time.

    A crop has `least_area` to all of the area of an image before it is resized, and an aspect ratio of 3/4 to 4/3.
    """

    size: int
    least_area: float
    mirror: bool


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierBatch:
    """What one step trains on: images uint8 [B, S, S, 3] RGB and the classes of each.

    Images that cannot be used are in `problems`; others of the batch stand in for them, so B stays.
    """

    step: int
    keys: tuple[str, ...]
    images: Tensor
    targets: tuple[Targets, ...]
    problems: tuple[Problem, ...] = ()

    def split(self, parts: int) -> list[ClassifierBatch]:
        """The batch in parts of equal size. Raises ValueError when it cannot be."""
        size, rest = divmod(len(self.keys), parts)
        if rest:
            raise ValueError(f"a batch of {len(self.keys)} images cannot be split into {parts} equal parts")
        ranges = [slice(start, start + size) for start in range(0, len(self.keys), size)]
        return [ClassifierBatch(self.step, self.keys[one], self.images[one], self.targets[one]) for one in ranges]


def make_crops(step: int, images: Sequence[LabelledImage], config: CropConfig, seed: int) -> ClassifierBatch:
    """The batch of a step, the same for the same seed.

    In place of the n-th image that cannot be used stands the n-th that can, in a crop of its own. Raises
    TooManyFailuresError when none can.
    """
    decoded = [_decode(image) for image in images]
    good = [place for place, pixels in enumerate(decoded) if not isinstance(pixels, str)]
    problems = tuple((image.key, found) for image, found in zip(images, decoded, strict=True) if isinstance(found, str))
    if not good:
        key, reason = problems[0]
        raise TooManyFailuresError(
            f"none of the {len(images)} images of step {step} can be used, such as {key}: {reason}"
        )
    stand_ins = iter(good[number % len(good)] for number in range(len(problems)))
    chosen = [next(stand_ins) if isinstance(found, str) else place for place, found in enumerate(decoded)]
    crops = [
        _crop(decoded[place], config, make_generator("crop", seed, step, images[place].key, place != slot))
        for slot, place in enumerate(chosen)
    ]
    return ClassifierBatch(
        step,
        tuple(images[place].key for place in chosen),
        torch.from_numpy(np.stack(crops)),
        tuple(images[place].targets for place in chosen),
        problems,
    )


def _decode(image: LabelledImage) -> NDArray[np.uint8] | str:
    """Pixels [H, W, 3], or why there are none."""
    if image.data is None:
        return image.problem
    try:
        return decode_image(image.data).pixels
    except ImageError as error:
        return str(error)


def _crop(pixels: NDArray[np.uint8] | str, config: CropConfig, numbers: np.random.Generator) -> NDArray[np.uint8]:
    assert not isinstance(pixels, str)
    height, width = pixels.shape[:2]
    w, h = _draw_size(width, height, config, numbers)
    left, top = int(numbers.integers(width - w + 1)), int(numbers.integers(height - h + 1))
    way = cv2.INTER_AREA if w * h > config.size**2 else cv2.INTER_LINEAR
    crop = cv2.resize(pixels[top : top + h, left : left + w], (config.size, config.size), interpolation=way)
    if config.mirror and numbers.integers(2):
        crop = cv2.flip(crop, 1)
    return np.asarray(crop, np.uint8)


def _draw_size(width: int, height: int, config: CropConfig, numbers: np.random.Generator) -> tuple[int, int]:
    """Width and height of a crop; the largest square of the image where no drawn one fits into it."""
    for _ in range(_NUM_TRIES):
        area = width * height * numbers.uniform(config.least_area, 1)
        aspect = math.exp(numbers.uniform(-_LOG_ASPECT, _LOG_ASPECT))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return w, h
    return min(width, height), min(width, height)
