"""The interface of an engine, the batch it takes, and the network input made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dap_core.classifiers import Classifier


@dataclass(frozen=True, slots=True)
class Canvases:
    """Resized images on canvases of one size, top left, the rest padding.

    `pixels` uint8 [B, H, W, 3] RGB; `sizes_hw` the height and width of each image on its canvas.
    """

    pixels: NDArray[np.uint8]
    sizes_hw: tuple[tuple[int, int], ...]


class Engine(Protocol):
    """Runs the backbone of one classifier on one device at one precision."""

    name: str
    precision: str
    classifier: Classifier
    batch_pixels: int
    """Canvas pixels that a batch should hold, mirrors not counted: where this engine is fastest."""
    window: int
    """How many images should be at hand, so that those of one canvas size fill batches."""
    lanes: int
    """How many threads should run batches at the same time; each keeps to one core where the device is the CPU."""

    def extract_features(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """The last feature maps float32 [B, C, h, w] or, with `mirror`, [2 B, C, h, w], on the engine's device.

        Pixels are normalised as the classifier wants them and padding is zero afterwards (section 4.1). The
        second half of a mirrored batch is each whole canvas flipped left to right, padding and all.
        """
        ...


class InputMaker:
    """Makes the network's input of canvases, on the device."""

    def __init__(self, classifier: Classifier, device: torch.device) -> None:
        """Takes mean and standard deviation from the classifier."""
        self._device = device
        self._mean = 255 * torch.tensor(classifier.mean, device=device).view(1, 3, 1, 1)
        self._scale = 1 / (255 * torch.tensor(classifier.std, device=device).view(1, 3, 1, 1))

    def __call__(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """Normalised images float32 [B, 3, H, W], channels last, padding zero; with `mirror` [2 B, 3, H, W].

        From pinned memory where the device is a GPU, and without waiting for it.
        """
        pixels = torch.from_numpy(canvases.pixels)
        if self._device.type == "cuda":
            pixels = pixels.pin_memory().to(self._device, non_blocking=True)
        images = pixels.permute(0, 3, 1, 2).float().sub_(self._mean).mul_(self._scale)
        for image, (height, width) in zip(images, canvases.sizes_hw, strict=True):
            image[:, height:] = 0
            image[:, :, width:] = 0
        if mirror:
            images = torch.cat([images, images.flip(-1)])
        return images.contiguous(memory_format=torch.channels_last)
