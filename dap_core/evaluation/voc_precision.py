"""VOC's average precision at IoU 0.5, as the development kit defines it.

Detections of a class are taken by descending score over all images. Each looks at the drawn box of its class that it
overlaps most: at IoU 0.5 or above it is right the first time and wrong after that; a difficult box counts neither way.
Below 0.5 it is wrong. AP is the area under precision made to fall with recall (VOC 2010 and later), or the mean of the
highest precision at recall 0, 0.1, ... 1 and above (VOC 2007).

The kit's corners are whole pixels, both inside the box, and it adds 1 to every side; half-open boxes have just
that side already, so nothing is added here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dap_core.boxes import compute_iou
from dap_core.evaluation.detection_truth import DetectionTruth, DrawnBoxes, Found
from dap_core.types import FloatArray

VOC_IOU = 0.5
Values = NDArray[np.float64]
_RECALLS: Values = np.array([index / 10 for index in range(11)])


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionCurve:
    """Precision and recall after each detection that counts, and its score; all [n], by descending score."""

    precision: Values
    recall: Values
    scores: Values


@dataclass(frozen=True, slots=True, eq=False)
class ClassVocPrecision:
    """AP50 of one class in [0, 1]; NaN for a class of which nothing is to be found."""

    name: str
    num_truth: int
    num_ignored: int
    """Difficult boxes."""
    area: float
    eleven_points: float
    curve: PrecisionCurve


@dataclass(frozen=True, slots=True, eq=False)
class VocPrecision:
    """AP50 both ways in [0, 1], means over the classes that have boxes to find; NaN where there are none."""

    area: float
    eleven_points: float
    by_class: tuple[ClassVocPrecision, ...]


def compute_voc_precision(found: Found, truth: DetectionTruth) -> VocPrecision:
    """VOC's figures of detections. Of equal scores, the detection of the image that comes first in the truth wins."""
    judged = _judge_all(found, truth)
    to_find, ignored = truth.count_boxes().tolist(), truth.count_ignored().tolist()
    by_class = tuple(
        _summarise(item.name, judged.get(label, []), to_find[label], ignored[label])
        for label, item in enumerate(truth.classes.classes)
    )
    known = [one for one in by_class if one.num_truth]
    return VocPrecision(
        area=_mean([one.area for one in known]),
        eleven_points=_mean([one.eleven_points for one in known]),
        by_class=by_class,
    )


def compute_area(precision: Values, recall: Values) -> float:
    """The area under a curve whose precision is made to fall with recall; both [n], recall ascending."""
    envelope = _fall(precision)
    steps = np.diff(recall, prepend=0)
    return float((steps * envelope).sum())


def compute_eleven_points(precision: Values, recall: Values) -> float:
    """The mean over 11 recalls of the highest precision there or above; 0 where recall does not get that far."""
    return float(sample_precision(PrecisionCurve(precision, recall, np.zeros(0)), _RECALLS).mean())


def sample_precision(curve: PrecisionCurve, recalls: Values) -> Values:
    """The highest precision at each of `recalls` or above, 0 where recall does not get that far; the shape of it."""
    places = np.searchsorted(curve.recall, recalls)
    values: Values = np.append(_fall(curve.precision), 0)[places]
    return values


def judge_detections(boxes: FloatArray, drawn: DrawnBoxes) -> tuple[NDArray[np.intp], Values]:
    """For each detection of one class and image [n, 4]: the drawn box it overlaps most, and their IoU.

    The box is -1, the IoU 0, where nothing is drawn; of equal IoU the first box wins.
    """
    if not len(drawn.boxes):
        return np.full(len(boxes), -1), np.zeros(len(boxes))
    overlaps = compute_iou(boxes, drawn.boxes)
    nearest = overlaps.argmax(axis=1)
    return nearest, overlaps[np.arange(len(boxes)), nearest]


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Detections of one class and image, best first: scores, which are right, and which count at all; all [n]."""

    scores: Values
    right: NDArray[np.bool_]
    counts: NDArray[np.bool_]


def _judge_all(found: Found, truth: DetectionTruth) -> dict[int, list[_Judged]]:
    """The detections of each class, image by image in the order of the truth."""
    by_class: dict[int, list[_Judged]] = defaultdict(list)
    for key, drawn in truth.images.items():
        if (one := found.get(key)) is None:
            continue
        for label in np.unique(one.labels).tolist():
            own = one.labels == label
            order = np.argsort(-one.scores[own], kind="stable")
            right, counts = _judge_image(one.boxes[own][order], drawn.select(label))
            by_class[label].append(_Judged(one.scores[own][order].astype(np.float64), right, counts))
    return by_class


def _summarise(name: str, judged: list[_Judged], num_truth: int, num_ignored: int) -> ClassVocPrecision:
    curve = _draw_curve(judged, num_truth)
    return ClassVocPrecision(
        name=name,
        num_truth=num_truth,
        num_ignored=num_ignored,
        area=compute_area(curve.precision, curve.recall) if num_truth else float("nan"),
        eleven_points=compute_eleven_points(curve.precision, curve.recall) if num_truth else float("nan"),
        curve=curve,
    )


def _judge_image(boxes: FloatArray, drawn: DrawnBoxes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of detections of one class and image, best first: which are right, and which count at all."""
    nearest, ious = judge_detections(boxes, drawn)
    right, counts = np.zeros(len(boxes), bool), np.ones(len(boxes), bool)
    taken: set[int] = set()
    for index in np.flatnonzero(ious >= VOC_IOU).tolist():
        box = int(nearest[index])
        if drawn.ignored[box]:
            counts[index] = False
        elif box not in taken:
            taken.add(box)
            right[index] = True
    return right, counts


def _draw_curve(judged: list[_Judged], num_truth: int) -> PrecisionCurve:
    none = [_Judged(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))]
    scores, right, counts = (
        np.concatenate([getattr(one, name) for one in judged or none]) for name in ("scores", "right", "counts")
    )
    order = np.argsort(-scores, kind="stable")
    order = order[counts[order]]
    num_right = np.cumsum(right[order], dtype=np.float64)
    precision = num_right / np.arange(1, len(order) + 1)
    return PrecisionCurve(precision, num_right / max(num_truth, 1), scores[order])


def _fall(precision: Values) -> Values:
    """The highest precision at each place or after it."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
