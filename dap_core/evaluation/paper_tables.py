"""Box statistics of the paper: tables A1 and A2, ImageNet-1M with a ResNet classifier."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaperColumn:
    """One column: boxes per image, mean box width and height in pixels."""

    boxes_per_image: float
    mean_width: float
    mean_height: float


TABLE_A1: dict[str, PaperColumn] = {
    "0.2": PaperColumn(1.019, 339.9, 280.3),
    "0.3": PaperColumn(1.046, 296.5, 242.1),
    "0.4": PaperColumn(1.096, 250.4, 202.0),
    "0.5": PaperColumn(1.161, 199.6, 160.7),
    "multi": PaperColumn(3.211, 253.4, 208.0),
}
"""By CAM threshold, NMS IoU 0.8; `multi` merges the four."""

TABLE_A2: dict[str, PaperColumn] = {
    "0.5": PaperColumn(2.047, 258.9, 215.6),
    "0.6": PaperColumn(2.308, 256.2, 212.3),
    "0.7": PaperColumn(2.661, 254.2, 209.7),
    "0.8": PaperColumn(3.211, 253.4, 208.0),
    "0.9": PaperColumn(3.966, 260.9, 212.3),
    "1.0": PaperColumn(4.321, 269.6, 219.3),
}
"""By NMS IoU, all four thresholds merged; 1.0 is no NMS."""

THRESHOLDS = (0.2, 0.3, 0.4, 0.5)
NMS_IOUS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
NMS_IOU = 0.8
