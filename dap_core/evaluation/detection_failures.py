"""Where a detector errs: wrong boxes with high scores, and drawn boxes that it missed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dap_core.boxes import compute_areas, compute_iou
from dap_core.evaluation.detection_truth import DetectionTruth, DrawnBoxes, Found
from dap_core.evaluation.voc_precision import VOC_IOU, judge_detections
from dap_core.types import PredictedImage

Kind = Literal["wrong-place", "wrong-class", "twice", "background", "missed"]
NEAR_IOU = 0.1
"""From this IoU on, a wrong box has found something and placed it badly (Hoiem et al., ECCV 2012)."""


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """One wrong or missed box.

    `box` float32 [4] xyxy is the detection, or the drawn box where it was `missed`. `nearest` is the class index of the
    drawn box that a detection overlaps most (of its own class where it overlaps one from `NEAR_IOU` on), or of the
    detection that a missed box overlaps most; None where nothing does. `iou` is that with it; `score` is 0 for a missed
    box.
    """

    key: str
    kind: Kind
    box: NDArray[np.float32]
    label: int
    score: float
    iou: float
    nearest: int | None


def find_failures(found: Found, truth: DetectionTruth) -> list[Failure]:
    """All wrong boxes, the highest score first, then all missed ones, the largest first.

    A box is right as in VOC: IoU 0.5 with the drawn box of its class that it overlaps most, which no better box found.
    Detections on difficult boxes and crowds are not listed.
    """
    wrong: list[Failure] = []
    missed: list[Failure] = []
    for key, drawn in truth.images.items():
        one = found.get(key)
        judged = list(_judge_image(key, one, drawn)) if one is not None else []
        wrong += [failure for failure, _ in judged if failure is not None]
        hit = {box for failure, box in judged if failure is None}
        missed += _list_missed(key, one, drawn, hit)
    wrong.sort(key=lambda failure: -failure.score)
    missed.sort(key=lambda failure: -float(compute_areas(failure.box[None])[0]))
    return [*wrong, *missed]


def _judge_image(key: str, one: PredictedImage, drawn: DrawnBoxes) -> Iterator[tuple[Failure | None, int]]:
    """Each detection, best first: why it is wrong, or None and the place of the drawn box it is on."""
    taken: set[int] = set()
    for index in np.argsort(-one.scores, kind="stable").tolist():
        label = int(one.labels[index])
        own = np.flatnonzero(drawn.labels == label)
        nearest, ious = judge_detections(one.boxes[index : index + 1], drawn.select(label))
        place, iou = (int(own[nearest[0]]), float(ious[0])) if len(own) else (-1, 0.0)
        if iou >= VOC_IOU and (drawn.ignored[place] or place not in taken):
            taken.add(place)
            yield None, place
            continue
        kind, iou, other = _explain(one.boxes[index], drawn, label, iou)
        yield Failure(key, kind, one.boxes[index], label, float(one.scores[index]), iou, other), -1


def _explain(box: NDArray[np.float32], drawn: DrawnBoxes, label: int, own_iou: float) -> tuple[Kind, float, int | None]:
    """The kind of a wrong detection, its IoU with what it is nearest to, and the class of that."""
    if own_iou >= VOC_IOU:
        return "twice", own_iou, label
    [place], [iou] = judge_detections(box[None], drawn)
    other = int(drawn.labels[place]) if place >= 0 else None
    if iou >= VOC_IOU:
        return "wrong-class", float(iou), other
    if own_iou >= NEAR_IOU:
        return "wrong-place", own_iou, label
    return "background", float(iou), other if iou > 0 else None


def _list_missed(key: str, one: PredictedImage | None, drawn: DrawnBoxes, hit: set[int]) -> Iterator[Failure]:
    for place in range(len(drawn.boxes)):
        if place in hit or drawn.ignored[place]:
            continue
        box, nearest, iou = drawn.boxes[place], None, 0.0
        if one is not None and len(one.boxes):
            ious = compute_iou(box[None], one.boxes)[0]
            iou = float(ious.max())
            nearest = int(one.labels[ious.argmax()]) if iou > 0 else None
        yield Failure(key, "missed", box, int(drawn.labels[place]), 0.0, iou, nearest)
