"""What a detector is made of, apart from its classifier: levels, widths, what is frozen, how boxes are picked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal, get_args

Architecture = Literal["faster_rcnn", "retinanet", "fcos"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)

_ANCHOR_SCALES: dict[Architecture, float] = {"faster_rcnn": 8, "retinanet": 4, "fcos": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """Options of a detector; the values left out suit short sides around 160 px on a few CPU cores.

    Raises ValueError for options that make no detector.
    """

    strides: tuple[int, ...] = (8, 16, 32, 64)
    """Pixels between the cells of each pyramid level; those the backbone lacks are made on top of it."""
    fpn_channels: int = 96
    anchor_scale: float | None = None
    """Side of a square anchor in cells; left out, 8 for Faster R-CNN and 4 for RetinaNet. FCOS has points: 1."""
    box_head_size: int = 1024
    """Faster R-CNN: width of the two hidden layers."""
    num_rois: int = 128
    """Faster R-CNN: regions of each image that the box head is trained on."""
    num_proposals: int = 1000
    """Faster R-CNN: regions proposed for each image."""
    frozen_batch_norm: bool = True
    """BatchNorm of the backbone keeps its statistics, scales and biases (paper, section 4.1)."""
    frozen_stages: int = 1
    """Stages of the backbone that are not trained; 1 is the stem and the first stage, up to stride 4 (section 4.1)."""
    freeze_backbone: bool = False
    """The whole backbone is not trained (table 3)."""
    class_agnostic: bool = False
    """One class, `object`, whatever the labels."""
    score_threshold: float = 0.05
    nms_iou: float = 0.5
    max_detections: int = 100
    """Detections kept for each image."""

    def __post_init__(self) -> None:
        strides = self.strides
        doubled = all(upper == 2 * lower for lower, upper in pairwise(strides))
        if not strides or strides[0] not in (4, 8, 16, 32) or not doubled:
            raise ValueError(f"strides double from 4, 8, 16 or 32 on, such as (8, 16, 32, 64); got {strides}")
        if self.fpn_channels < 1 or self.fpn_channels % 32:
            raise ValueError(f"fpn_channels is a multiple of 32 (FCOS normalises 32 groups), got {self.fpn_channels}")
        if self.frozen_stages < 0:
            raise ValueError(f"frozen_stages is 0 or more, got {self.frozen_stages}")
        for name in ("box_head_size", "num_rois", "num_proposals", "max_detections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}")

    @classmethod
    def full(cls, architecture: Architecture, **options: Any) -> DetectorConfig:
        """The sizes torchvision trains on COCO with (the paper's detectors): 256 channels, five levels."""
        one_stage = {"strides": (8, 16, 32, 64, 128)}
        defaults: dict[Architecture, dict[str, Any]] = {
            "faster_rcnn": {"strides": (4, 8, 16, 32, 64), "num_rois": 512, "num_proposals": 2000},
            "retinanet": {**one_stage, "max_detections": 300},
            "fcos": {**one_stage, "score_threshold": 0.2, "nms_iou": 0.6},
        }
        return cls(**{"fpn_channels": 256, **defaults[architecture], **options})

    def get_anchor_scale(self, architecture: Architecture) -> float:
        """Side of a square anchor in cells."""
        return _ANCHOR_SCALES[architecture] if self.anchor_scale is None else self.anchor_scale

    def to_dict(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        return {**asdict(self), "strides": list(self.strides)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DetectorConfig:
        """The options `to_dict` gave; raises ValueError for unknown or missing names."""
        expected = {item.name for item in fields(cls)}
        if values.keys() != expected:
            odd = ", ".join(sorted(values.keys() ^ expected))
            raise ValueError(f"the options of a detector are {', '.join(sorted(expected))}; missing or unknown: {odd}")
        return cls(**{**values, "strides": tuple(values["strides"])})
