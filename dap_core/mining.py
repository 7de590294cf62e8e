"""Step 2b: stored class activation maps to pseudo boxes (section 3.1, eqs. 1-6, components, NMS).

`mine_boxes` is one function for mining and for re-cutting: both start from the rounded maps, so both give
the same boxes bit for bit. NumPy and OpenCV only; no network, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dap_core.boxes import box_cxcywh_to_xyxy, clip_boxes, compute_areas, nms
from dap_core.merging import MergedMap, place_cams, stack_cams
from dap_core.types import Cam, FloatArray, MinedBoxes, PseudoBoxes


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningConfig:
    """How maps become boxes. Defaults are the paper's; raises ValueError on values out of range."""

    thresholds: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
    """tau of eq. 2, each in [0, 1)."""
    nms_iou: float = 0.8
    """Above this IoU the box that comes later in `nms_order` goes (section 4.1); 1 keeps all."""
    min_area_ratio: float = 0.5
    """Components below this share of the largest one's area are dropped (section 3.1)."""
    merge: Literal["placed", "stacked"] = "placed"
    """How passes are averaged: each at its true place on one grid, or cell upon cell (`dap_core.merging`)."""
    grid_short_side: int = 96
    """Samples along the image's shorter side at which placed passes are read, averaged and cut."""
    floor_percentile: float = 0.0
    """Percentile of a placed map's cells that counts as 0 in eq. 1; 0 takes the lowest cell, as the text."""
    weight_bias: float = 0.0
    """Added to M inside a component for eqs. 3-6; the text adds nothing, the authors' script 0.22."""
    connectivity: Literal[4, 8] = 8
    """Neighbours of a cell in a component; the text does not say."""
    region: Literal["component", "rectangle"] = "component"
    """Whose area is compared and whose moments are taken: the component's cells, or all cells above the
    threshold within its bounding rectangle, as in the authors' script."""
    tightness: float = 0.0
    """Where a box lies between the rectangle of eqs. 3-6 (0) and the component's bounding rectangle (1)."""
    max_components: int | None = None
    """At most so many components per threshold, largest first; None keeps all that are large enough."""
    min_side: float = 0.0
    """Sides of a box are at least so many cells."""
    edge_px: int = 0
    """Boxes are clipped to `[0, width - edge_px]` and `[0, height - edge_px]`."""
    nms_order: Literal["area", "score"] = "area"
    """Which of two overlapping boxes wins: the larger or the higher-scored one; the text does not say, and
    only `area` shows the paper's mean sizes over the NMS sweep (ADR 2)."""
    nms_inclusive: bool = False
    """Whether the IoU of NMS counts pixels inclusively: sides are `x2 - x1 + 1`, as in the authors' script."""

    def __post_init__(self) -> None:
        if not self.thresholds or not all(0 <= tau < 1 for tau in self.thresholds):
            raise ValueError(f"thresholds must be one or more numbers in [0, 1), got {list(self.thresholds)}")
        if not 0 <= self.nms_iou <= 1:
            raise ValueError(f"the NMS IoU must lie in [0, 1], got {self.nms_iou}")
        if min(self.weight_bias, self.min_side, self.edge_px) < 0:
            raise ValueError("weight_bias, min_side and edge_px must not be negative")
        if not 0 <= self.min_area_ratio <= 1 or self.grid_short_side < 8:
            raise ValueError("min_area_ratio must lie in [0, 1] and grid_short_side be at least 8")
        if not (0 <= self.floor_percentile < 100 and 0 <= self.tightness <= 1):
            raise ValueError("floor_percentile must lie in [0, 100) and tightness in [0, 1]")
        if self.max_components is not None and self.max_components < 1:
            raise ValueError(f"max_components must be at least 1, got {self.max_components}")
        self._check_choices()

    def _check_choices(self) -> None:
        if self.connectivity not in (4, 8) or self.nms_order not in ("area", "score"):
            raise ValueError("connectivity must be 4 or 8 and nms_order 'area' or 'score'")
        if self.merge not in ("placed", "stacked") or self.region not in ("component", "rectangle"):
            raise ValueError("merge must be 'placed' or 'stacked' and region 'component' or 'rectangle'")


def mine_boxes(cams: Sequence[Cam], size_wh: tuple[int, int], config: MiningConfig) -> MinedBoxes:
    """The pseudo boxes of one image from the maps of all its labels and passes.

    Each label is mined on its own: NMS and the half-area rule never compare labels. Boxes are clipped to
    the image and ordered by label as in `cams`, then best first in the recipe's order. A label whose maps
    are flat or hold NaN gets no box and a reason (`flat-map`, `not-finite`), as does one whose components
    all lack extent (`no-extent`); no maps give no boxes.
    """
    parts: list[PseudoBoxes] = []
    reasons: list[tuple[int, str]] = []
    for label in dict.fromkeys(cam.label for cam in cams):
        merged = merge_cams([cam for cam in cams if cam.label == label], size_wh, config)
        if isinstance(merged, str):
            reasons.append((label, merged))
            continue
        boxes = suppress_boxes(cut_boxes(merged, label, size_wh, config), config)
        parts.append(boxes)
        if not len(boxes):
            reasons.append((label, "no-extent"))
    return MinedBoxes(PseudoBoxes.concatenate(parts), tuple(reasons))


def merge_cams(cams: Sequence[Cam], size_wh: tuple[int, int], config: MiningConfig) -> MergedMap | str:
    """The normalised map of one label (eq. 1), or the reason why there is none: `flat-map` or `not-finite`."""
    if config.merge == "stacked":
        return stack_cams(cams, size_wh)
    return place_cams(cams, size_wh, config.grid_short_side, config.floor_percentile)


def cut_boxes(merged: MergedMap, label: int, size_wh: tuple[int, int], config: MiningConfig) -> PseudoBoxes:
    """Boxes of one normalised map for every threshold, before NMS (eqs. 2-6).

    Per threshold: cells strictly above it, their connected components, those of at least half the largest
    one's area, and for each the rectangle with its mean and variance, `sqrt(12 var)` wide (a flat block of n
    cells is sqrt(n^2 - 1) cells, as the equations say). A component without extent in x or y has no box.
    The score is the mean activation of the component.
    """
    fitted: list[tuple[float, ...]] = []
    window, left, top = merged.values, 0, 0
    for threshold in sorted(config.thresholds):  # what is above a threshold lies within what is above a lower one
        above = (window > np.float32(threshold)).view(np.uint8)
        x, y, width, height = cv2.boundingRect(above)
        crop = (slice(y, y + height), slice(x, x + width))
        window, left, top = window[crop], left + x, top + y
        for centre_x, centre_y, *rest in _fit_components(window, above[crop], config):
            fitted.append((left + centre_x, top + centre_y, *rest, threshold))
    if not fitted:
        return PseudoBoxes.empty()
    table = np.array(fitted, np.float64)
    table[:, 2:4] = np.maximum(table[:, 2:4], config.min_side)
    corners = box_cxcywh_to_xyxy(table[:, :4] * np.array(merged.pitch_xy * 2))
    limit_wh = (size_wh[0] - config.edge_px, size_wh[1] - config.edge_px)
    boxes = clip_boxes(corners, limit_wh).astype(np.float32)
    scores, thresholds = table[:, 4].astype(np.float32), table[:, 5].astype(np.float32)
    found = PseudoBoxes(boxes, np.full(len(boxes), label, np.int32), scores, thresholds)
    has_extent = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return found if has_extent.all() else found.take(np.flatnonzero(has_extent))


def suppress_boxes(boxes: PseudoBoxes, config: MiningConfig) -> PseudoBoxes:
    """The boxes of one label that NMS keeps, best first in the recipe's order (section 3.1, last step)."""
    ranks = compute_areas(boxes.boxes) if config.nms_order == "area" else boxes.scores
    return boxes.take(nms(boxes.boxes, ranks, config.nms_iou, extra_px=int(config.nms_inclusive)))


def _fit_components(
    window: FloatArray, above: NDArray[np.uint8], config: MiningConfig
) -> Iterator[tuple[float, float, float, float, float]]:
    """Centre, width, height in cells and mean activation of each component of `above` (0 or 1) that counts."""
    if not window.size:
        return
    count, _ = cv2.connectedComponents(above, connectivity=config.connectivity, ltype=cv2.CV_16U)
    if count == 2:  # one component, and the window is its bounding rectangle
        yield _fit_rectangle(window, above, config)
        return
    _, labelled, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=config.connectivity)
    for index in _choose_components(stats, config):
        x, y, width, height = stats[index, :4]
        crop = (slice(y, y + height), slice(x, x + width))
        members = above[crop] if config.region == "rectangle" else (labelled[crop] == index).view(np.uint8)
        centre_x, centre_y, *rest = _fit_rectangle(window[crop], members, config)
        yield (x + centre_x, y + centre_y, *rest)


def _choose_components(stats: NDArray[np.int32], config: MiningConfig) -> NDArray[np.intp]:
    """Which components are large enough, largest first where their number is limited; row 0 is the background."""
    whole = config.region == "rectangle"
    areas = stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT] if whole else stats[1:, cv2.CC_STAT_AREA]
    chosen = np.flatnonzero(areas >= config.min_area_ratio * areas.max())
    if config.max_components is not None:
        chosen = chosen[np.argsort(-areas[chosen], kind="stable")[: config.max_components]]
    return chosen + 1


def _fit_rectangle(
    values: FloatArray, members: NDArray[np.uint8], config: MiningConfig
) -> tuple[float, float, float, float, float]:
    """Centre, width and height in cells (cell i at [i, i + 1)) and mean activation of one component.

    The window is the component's bounding rectangle.
    """
    bias, rest = config.weight_bias, 1 - config.tightness
    weights = cv2.copyTo(values + np.float32(bias) if bias else values, members)  # M of eq. 2 on the component
    height, width = values.shape
    if width == 2:  # a matrix of two columns would count as a list of points
        weights = cv2.copyMakeBorder(weights, 0, 0, 0, 1, cv2.BORDER_CONSTANT)
    moments = cv2.moments(weights)
    mass = moments["m00"]
    return (
        config.tightness * width / 2 + rest * (0.5 + moments["m10"] / mass),  # eq. 3
        config.tightness * height / 2 + rest * (0.5 + moments["m01"] / mass),  # eq. 4
        config.tightness * width + rest * math.sqrt(12 * max(moments["mu20"], 0.0) / mass),  # eq. 5
        config.tightness * height + rest * math.sqrt(12 * max(moments["mu02"], 0.0) / mass),  # eq. 6
        mass / cv2.countNonZero(members) - bias,
    )
