"""How the boxes of a label set overlap drawn ones, measured once per image and label.

What is measured here is summed up, resampled and compared in `metrics`. A pair is one image with one of its labels
and at least one drawn box. IoU is that of half-open boxes, no pixel added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from dap_core.boxes import compute_areas, compute_iou
from dap_core.evaluation.truth import Truth
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.merging import compute_grid_size, sample_map
from dap_core.mining import MiningConfig, cut_boxes, merge_cams
from dap_core.passes import select_passes
from dap_core.types import Cam, FloatArray, PseudoBoxes

SWEEP = tuple(index / 100 for index in range(100))
"""The thresholds of MaxBoxAcc, shared by all images."""
RECALL_IOUS = tuple(0.5 + index / 20 for index in range(10))
"""The IoUs of average recall."""
TIGHT_SHORT_SIDE = 128
"""Samples along the shorter side of the grid on which tight rectangles are found."""

_Values: TypeAlias = dict[str, Any]
_CENTRED_SHARES = tuple(index / 100 for index in range(1, 101))
_SWEEPS = ("own_any", "own_largest", "tight_any", "tight_largest")
_SHAPES: dict[str, tuple[tuple[int, ...], type]] = {
    "image": ((), np.intp),
    "label": ((), np.intp),
    "num_boxes": ((), np.intp),
    "num_truth": ((), np.intp),
    "top_iou": ((), np.float32),
    "any_iou": ((), np.float32),
    "top1": ((), np.bool_),
    "num_found": ((len(RECALL_IOUS),), np.intp),
    "offset": ((2,), np.float32),
    "log_size": ((), np.float32),
    "centred": ((len(_CENTRED_SHARES),), np.float32),
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Overlaps:
    """Measurements of P pairs, in the order of the label set.

    Sweeps [P, 100] hold, per threshold of `SWEEP`, the best IoU with any drawn box: of all boxes cut there (`any`) and
    of the largest (`largest`), each with the recipe's own box rule and with tight rectangles round all components;
    None for a set without maps. `centred` is that of a centred box of 1% to 100% of the image's sides.
    """

    image: NDArray[np.intp]
    """Index of the image of each pair; pairs of one image are resampled together."""
    label: NDArray[np.intp]
    num_boxes: NDArray[np.intp]
    num_truth: NDArray[np.intp]
    top_iou: FloatArray
    """Best IoU of the recipe's first box; 0 without a box."""
    any_iou: FloatArray
    top1: NDArray[np.bool_]
    """Whether the classifier's first choice is the label."""
    num_found: NDArray[np.intp]
    """Drawn boxes found one to one at each of `RECALL_IOUS`, [P, 10]."""
    offset: FloatArray
    """Centre of the best-overlapping box minus that of the drawn one, x and y, in shares of the image's shorter side,
    [P, 2]; NaN where nothing overlaps."""
    log_size: FloatArray
    """Log of side (square root of area) of the first box over that of the drawn one it overlaps best; NaN likewise."""
    centred: FloatArray
    own_any: FloatArray | None
    own_largest: FloatArray | None
    tight_any: FloatArray | None
    tight_largest: FloatArray | None

    def __len__(self) -> int:
        return len(self.image)


def measure_overlaps(label_set: LabelSet, truth: Truth) -> Overlaps:
    """All pairs of a label set that have truth, in one pass; sweeps only where maps are stored."""
    settings = label_set.manifest.settings
    with_maps = settings.store_cams
    measured: list[_Values] = []
    for index, row in enumerate(label_set.rows(cams=with_maps)):
        for label, drawn in truth.boxes.get(row.key, {}).items():
            pair = {"image": np.intp(index), "label": np.intp(label)} | _measure_boxes(row, label, drawn)
            if with_maps:
                recipe = settings.mining_recipe
                cams = [cam for cam in select_passes(row.cams, recipe.cam) if cam.label == label]
                pair |= _measure_sweeps(cams, row.size_wh, drawn, recipe.mining)
            measured.append(pair)
    return _stack(measured, with_maps)


def cut_tight_boxes(values: FloatArray, size_wh: tuple[int, int], thresholds: Sequence[float]) -> PseudoBoxes:
    """Rectangles round the connected components strictly above each threshold, the largest component first.

    The box rule of the localisation literature: 8-connected, every component counts.
    """
    zoom = np.array([size_wh[0] / values.shape[1], size_wh[1] / values.shape[0]] * 2)
    boxes, taus = [np.zeros((0, 4))], []
    window, left, top = values, 0, 0
    for threshold in sorted(thresholds):  # what is above a threshold lies within what is above a lower one
        above = (window > np.float32(threshold)).view(np.uint8)
        x, y, width, height = cv2.boundingRect(above)
        if not width:
            break
        crop = (slice(y, y + height), slice(x, x + width))
        window, left, top = window[crop], left + x, top + y
        stats = cv2.connectedComponentsWithStats(above[crop], connectivity=8)[2][1:]
        stats = stats[np.argsort(-stats[:, cv2.CC_STAT_AREA], kind="stable"), :4]
        corners = np.concatenate([stats[:, :2], stats[:, :2] + stats[:, 2:]], axis=1)
        boxes.append((corners + np.array([left, top, left, top])) * zoom)
        taus += [threshold] * len(stats)
    none = np.zeros(len(taus), np.float32)
    return PseudoBoxes(
        np.concatenate(boxes).astype(np.float32), none.astype(np.int32), none, np.array(taus, np.float32)
    )


def center_boxes(size_wh: tuple[int, int], shares: Sequence[float]) -> FloatArray:
    """Boxes [N, 4] in the middle of an image, each with its share of both sides."""
    sizes = np.outer(shares, size_wh)
    middle = np.array(size_wh) / 2
    return np.concatenate([middle - sizes / 2, middle + sizes / 2], axis=1).astype(np.float32)


def count_found(ious: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many drawn boxes are found at each of `RECALL_IOUS`, [10]; `ious` [boxes, drawn], best boxes first.

    As COCO does: in order, each box takes the drawn box it overlaps most of those not yet taken.
    """
    counts = np.zeros(len(RECALL_IOUS), np.intp)
    for index, least in enumerate(RECALL_IOUS):
        left = ious.copy()
        for row in left:  # a view, so that taking a drawn box shows in the rows that follow
            best = int(row.argmax())
            if row[best] >= least - 1e-10:
                left[:, best] = -1
                counts[index] += 1
    return counts


def _measure_boxes(row: LabelSetRow, label: int, drawn: FloatArray) -> _Values:
    """Everything of a pair that the stored boxes tell."""
    boxes = row.boxes.boxes[row.boxes.labels == label]
    ious = compute_iou(boxes, drawn)
    offset, log_size = np.full(2, np.nan), np.nan
    if ious.size and ious.max() > 0:
        best, found = np.unravel_index(ious.argmax(), ious.shape)
        centres = [(one[:2] + one[2:]) / 2 for one in (boxes[best], drawn[found])]
        offset = (centres[0] - centres[1]) / min(row.size_wh)
    if ious.size and ious[0].max() > 0:
        areas = [compute_areas(one[None])[0] for one in (boxes[0], drawn[ious[0].argmax()])]
        log_size = np.log(areas[0] / areas[1]) / 2
    return {
        "num_boxes": np.intp(len(boxes)),
        "num_truth": np.intp(len(drawn)),
        "top_iou": np.float32(ious[0].max() if len(boxes) else 0),
        "any_iou": np.float32(ious.max(initial=0)),
        "top1": np.bool_(row.top1 == label),
        "num_found": count_found(ious),
        "offset": offset.astype(np.float32),
        "log_size": np.float32(log_size),
        "centred": compute_iou(center_boxes(row.size_wh, _CENTRED_SHARES), drawn).max(axis=1),
    }


def _measure_sweeps(cams: Sequence[Cam], size_wh: tuple[int, int], drawn: FloatArray, config: MiningConfig) -> _Values:
    """The sweeps of a pair: zero throughout for a map that gives no box."""
    merged = merge_cams(cams, size_wh, config)
    if isinstance(merged, str):
        return dict.fromkeys(_SWEEPS, np.zeros(len(SWEEP)))
    own = cut_boxes(merged, 0, size_wh, replace(config, thresholds=SWEEP))
    largest_first = own.take(np.argsort(-compute_areas(own.boxes), kind="stable"))
    values = sample_map(merged, size_wh, compute_grid_size(size_wh, TIGHT_SHORT_SIDE))
    tight = cut_tight_boxes(values, size_wh, SWEEP)
    return dict(zip(_SWEEPS, (*_sweep(largest_first, drawn), *_sweep(tight, drawn)), strict=True))


def _sweep(boxes: PseudoBoxes, drawn: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Best IoU at each threshold, [100]: of any box, and of the first one."""
    ious = compute_iou(boxes.boxes, drawn).max(axis=1)
    indices = np.rint(boxes.thresholds * len(SWEEP)).astype(np.intp)
    best, first = np.zeros(len(SWEEP)), np.zeros(len(SWEEP))
    np.maximum.at(best, indices, ious)
    present, places = np.unique(indices, return_index=True)
    first[present] = ious[places]
    return best, first


def _stack(measured: Sequence[_Values], with_maps: bool) -> Overlaps:
    names = [*_SHAPES, *(_SWEEPS if with_maps else ())]
    columns: dict[str, Any] = dict.fromkeys(_SWEEPS)
    for name in names:
        shape, dtype = _SHAPES.get(name, ((len(SWEEP),), np.float32))
        columns[name] = np.array([pair[name] for pair in measured], dtype).reshape(-1, *shape)
    return Overlaps(**columns)
