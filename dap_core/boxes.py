"""Operations on boxes: float32 xyxy, absolute pixels, 0-based, half-open."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dap_core.types import FloatArray

BoxArray: TypeAlias = NDArray[np.floating[Any]]


def box_cxcywh_to_xyxy(boxes: BoxArray) -> BoxArray:
    """Corners [N, 4] of boxes given as centre and size [N, 4]."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def clip_boxes(boxes: BoxArray, size_wh: tuple[int, int]) -> BoxArray:
    """Boxes [N, 4] cut to the image `(width, height)`; one that lies outside gets zero area."""
    limit = np.array([*size_wh, *size_wh], boxes.dtype)
    return np.clip(boxes, 0, limit)


def compute_areas(boxes: BoxArray) -> BoxArray:
    """Areas [N] in square pixels."""
    areas: BoxArray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def compute_iou(boxes_a: FloatArray, boxes_b: FloatArray, *, extra_px: int = 0) -> NDArray[np.float64]:
    """Intersection over union of every pair, [N, M] in [0, 1]; 0 where both boxes have no area.

    `extra_px` 1 counts pixels inclusively: every box is one pixel wider and higher.
    """
    a, b = boxes_a.astype(np.float64), boxes_b.astype(np.float64)
    a[:, 2:] += extra_px
    b[:, 2:] += extra_px
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])  # [N, M, 2]
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    overlap = sides[..., 0] * sides[..., 1]
    union = compute_areas(a)[:, None] + compute_areas(b)[None, :] - overlap
    iou: NDArray[np.float64] = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


def nms(boxes: FloatArray, scores: FloatArray, iou_threshold: float, *, extra_px: int = 0) -> NDArray[np.intp]:
    """Indices that greedy non-maximum suppression keeps, highest score first.

    A box goes when its IoU with a kept box is *above* `iou_threshold`, as in torchvision: 1.0 keeps
    everything. Of equal scores the earlier box comes first; `extra_px` as in `compute_iou`. Written in NumPy so that
    re-cutting stored maps needs no torch; the tests hold it against `torchvision.ops.nms`.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2 or iou_threshold >= 1:
        return order
    above = compute_iou(boxes[order], boxes[order], extra_px=extra_px) > iou_threshold
    kept = np.ones(len(order), bool)
    for index in range(len(order) - 1):
        if kept[index]:
            kept[index + 1 :] &= ~above[index, index + 1 :]
    return order[kept]
