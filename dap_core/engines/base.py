"""The interface of an engine and the batch it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
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

    def extract_features(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """The last feature maps float32 [B, C, h, w] or, with `mirror`, [2 B, C, h, w].

        Pixels are normalised as the classifier wants them and padding is zero afterwards (section 4.1). The
        second half of a mirrored batch is each whole canvas flipped left to right, padding and all.
        """
        ...
