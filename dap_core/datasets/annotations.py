"""Images with drawn boxes: what every reader of another tool's format gives.

A reader loses nothing silently: what it cannot use becomes a `Problem` that names file and item, and the rest
is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dap_core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in an annotation file that could not be used: where, and what is wrong."""

    where: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedImage:
    """One image and the boxes drawn on it.

    `key` is its file name as the annotations give it, with forward slashes; `original_key` is its key in the label set
    that they were exported from, where the export had to rename it. `size_wh` is what they say of its size, None when
    they say nothing. `boxes` float32 [N, 4] xyxy half-open in pixels, with the class name, score
    (None for truth) and ignore flag of each: a box to ignore (VOC `difficult`, COCO `iscrowd`) is neither to be
    found nor to be counted against.
    """

    key: str
    size_wh: tuple[int, int] | None
    boxes: FloatArray
    class_names: tuple[str, ...]
    ignored: NDArray[np.bool_]
    scores: FloatArray | None = None
    original_key: str | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.class_names), 4) or self.ignored.shape != (len(self.class_names),):
            raise ValueError(
                f"{self.key}: expected boxes [N, 4] with N class names and N ignore flags, got {self.boxes.shape}, "
                f"{len(self.class_names)} and {self.ignored.shape}"
            )


@dataclass(frozen=True, slots=True)
class Annotations:
    """Annotated images of one data set, the classes it declares, and what could not be read.

    `class_names` are the declared ones in their order, or those seen, sorted, where a format declares none.
    `image_root` is the folder that keys are relative to, when the format or its layout tells.
    """

    images: tuple[AnnotatedImage, ...]
    class_names: tuple[str, ...]
    problems: tuple[Problem, ...] = field(default=())
    image_root: Path | None = None

    @property
    def all_class_names(self) -> tuple[str, ...]:
        """The declared classes, then those that are only drawn."""
        drawn = (name for image in self.images for name in image.class_names)
        return tuple(dict.fromkeys((*self.class_names, *drawn)))
