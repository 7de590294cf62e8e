"""What an export is asked for and what it reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from dap_core.datasets.voc import VOC_FLAVORS, VocFlavor

ExportFormat = Literal["coco", "voc", "yolo", "label-studio", "fiftyone", "cvat", "huggingface"]
ImageHandling = Literal["copy", "link", "none"]
ClassChoice = Literal["all", "used"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Choices that every format understands. Raises ValueError for values that are none."""

    images: ImageHandling = "copy"
    """Write the images, link to the source files, or write annotations only."""
    classes: ClassChoice | None = None
    """All classes of the label set, so that numbers never change, or those with a box; None: what suits the format."""
    min_score: float = 0.0
    """Boxes of a lower score are left out; their images stay."""
    voc_flavor: VocFlavor = "devkit"
    """How corners are counted in VOC files; other formats ignore it."""

    def __post_init__(self) -> None:
        if self.images not in get_args(ImageHandling):
            raise ValueError(f"images must be one of {', '.join(get_args(ImageHandling))}, got {self.images!r}")
        if self.classes not in (None, *get_args(ClassChoice)):
            raise ValueError(f"classes must be one of {', '.join(get_args(ClassChoice))}, got {self.classes!r}")
        if not math.isfinite(self.min_score):
            raise ValueError(f"min_score must be a number, got {self.min_score}")
        if self.voc_flavor not in VOC_FLAVORS:
            raise ValueError(f"voc_flavor must be one of {', '.join(VOC_FLAVORS)}, got {self.voc_flavor!r}")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote, and what it could not carry over.

    `num_rotated` counts images with an EXIF orientation other than 1: written upright, unless none were written.
    `num_negatives` are images without a box, `num_boxes_left_out` those under the lowest score, `num_renamed` images
    that could not keep their key as file name (`names.csv` lists them), `num_copied_instead` images that were
    to be linked but had to be copied. `lost` says in words what the format has no place for.
    """

    num_images: int
    num_boxes: int
    num_failures_left_out: int
    num_rotated: int
    num_negatives: int = 0
    num_classes: int = 0
    num_boxes_left_out: int = 0
    num_renamed: int = 0
    num_copied_instead: int = 0
    lost: tuple[str, ...] = ()
