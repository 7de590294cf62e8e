"""Localisation metrics of a label set against drawn boxes, with confidence intervals and the centred-box floor.

Definitions: CorLoc as on VOC (share of a class's images found, averaged over classes), GT-known localisation, MaxBoxAcc
and MaxBoxAccV2 of wsolevaluation (every threshold shared by all images), average recall of COCO. IoU counts from
0.5 on, inclusive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dap_core.evaluation.overlaps import Overlaps
from dap_core.types import FloatArray

Values = NDArray[np.float64]
V2_IOUS = (0.3, 0.5, 0.7)
NUM_RESAMPLES = 1000
_CHUNK = 50


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: its value, the 95% interval over resampled images, and what a centred box reaches."""

    name: str
    value: float
    low: float
    high: float
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of a label set minus that of another on the same pairs, with the 95% interval of the difference."""

    name: str
    value: float
    low: float
    high: float


def summarise_overlaps(overlaps: Overlaps, *, seed: int = 0) -> tuple[Metric, ...]:
    """All metrics of one label set; shares are in [0, 1].

    The interval comes from resampling images with replacement 1,000 times; maxima over thresholds are taken anew
    each time. A centred box takes the best size for each metric, the same for all images: its floor.
    Raises ValueError without pairs.
    """
    if not len(overlaps):
        raise ValueError("there is no image and label with a drawn box, so nothing can be measured")
    values = compute_metrics(overlaps, np.ones((1, len(overlaps))))
    resampled = _resample(overlaps, seed)
    floors = compute_floors(overlaps)
    metrics = []
    for name, value in values.items():
        low, high = _interval(resampled[name])
        metrics.append(Metric(name, float(value[0]), low, high, floors.get(name)))
    return tuple(metrics)


def compare_overlaps(ours: Overlaps, theirs: Overlaps, *, seed: int = 0) -> tuple[Difference, ...]:
    """Metrics of `ours` minus `theirs`, resampled together. Raises ValueError when their pairs are not the same."""
    if not (np.array_equal(ours.image, theirs.image) and np.array_equal(ours.label, theirs.label)):
        raise ValueError("only label sets with the same images and labels can be compared")
    ones = np.ones((1, len(ours)))
    values = [compute_metrics(overlaps, ones) for overlaps in (ours, theirs)]
    resampled = [_resample(overlaps, seed) for overlaps in (ours, theirs)]
    differences = []
    for name in values[0]:
        low, high = _interval(resampled[0][name] - resampled[1][name])
        differences.append(Difference(name, float(values[0][name][0] - values[1][name][0]), low, high))
    return tuple(differences)


def compute_metrics(overlaps: Overlaps, weights: Values) -> dict[str, Values]:
    """Every metric for each row of `weights` [B, P]: how often each pair counts. Values are [B]."""
    correct_top, correct_any = overlaps.top_iou >= 0.5, overlaps.any_iou >= 0.5
    metrics = {
        "top_box_corloc": _mean_over_classes(correct_top, overlaps.label, weights),
        "any_box_corloc": _mean_over_classes(correct_any, overlaps.label, weights),
        "gt_known_loc": _mean(correct_top, weights),
        "top1_loc": _mean(correct_top & overlaps.top1, weights),
        "average_recall": _average_recall(overlaps, weights),
        "boxes_per_label": _mean(overlaps.num_boxes, weights),
        "dx": _mean(overlaps.offset[:, 0], weights),
        "dy": _mean(overlaps.offset[:, 1], weights),
        "size_bias": np.exp(_mean(overlaps.log_size, weights)) - 1,
    }
    for rule, any_box, largest in (
        ("own", overlaps.own_any, overlaps.own_largest),
        ("tight", overlaps.tight_any, overlaps.tight_largest),
    ):
        if any_box is not None and largest is not None:
            metrics[f"max_box_acc_{rule}"] = _max_box_acc(largest, 0.5, weights)
            metrics[f"max_box_acc_v2_{rule}"] = _max_box_acc_v2(any_box, weights)
    return metrics


def compute_floors(overlaps: Overlaps) -> dict[str, float]:
    """What one centred box of the best size reaches, the size shared by all images."""
    ones = np.ones((1, len(overlaps)))
    correct = overlaps.centred >= np.float32(0.5)
    by_class = max(_mean_over_classes(correct[:, index], overlaps.label, ones)[0] for index in range(correct.shape[1]))
    accuracy = float(_max_box_acc(overlaps.centred, 0.5, ones)[0])
    v2 = float(_max_box_acc_v2(overlaps.centred, ones)[0])
    return {
        "top_box_corloc": float(by_class),
        "any_box_corloc": float(by_class),
        "gt_known_loc": accuracy,
        "max_box_acc_own": accuracy,
        "max_box_acc_tight": accuracy,
        "max_box_acc_v2_own": v2,
        "max_box_acc_v2_tight": v2,
    }


def _max_box_acc(ious: FloatArray, least: float, weights: Values) -> Values:
    """Share of pairs found at the one threshold that is best for all of them, [B]."""
    correct = (ious >= np.float32(least)).astype(np.float64)
    best: Values = (weights @ correct).max(axis=1) / weights.sum(axis=1)
    return best


def _max_box_acc_v2(ious: FloatArray, weights: Values) -> Values:
    """Mean over IoU 0.3, 0.5 and 0.7, each at its own best threshold, [B]."""
    mean: Values = np.mean([_max_box_acc(ious, least, weights) for least in V2_IOUS], axis=0)
    return mean


def _mean(values: NDArray[np.generic] | FloatArray, weights: Values) -> Values:
    """Weighted mean over pairs, NaN left out, [B]; NaN where nothing is left."""
    numbers = values.astype(np.float64)
    known = np.isfinite(numbers)
    total = weights[:, known].sum(axis=1)
    mean: Values = np.divide(
        weights[:, known] @ numbers[known], total, out=np.full(len(total), np.nan), where=total > 0
    )
    return mean


def _mean_over_classes(correct: NDArray[np.bool_], label: NDArray[np.intp], weights: Values) -> Values:
    """Mean over labels of the share of their pairs that are correct, [B]."""
    return _ratio_over_classes(correct.astype(np.float64), np.ones(len(label)), label, weights)


def _average_recall(overlaps: Overlaps, weights: Values) -> Values:
    """Drawn boxes found one to one, averaged over IoU 0.5 to 0.95 and over labels, [B]."""
    found = overlaps.num_found.mean(axis=1)
    return _ratio_over_classes(found, overlaps.num_truth.astype(np.float64), overlaps.label, weights)


def _ratio_over_classes(part: Values, whole: Values, label: NDArray[np.intp], weights: Values) -> Values:
    classes = np.equal(label[:, None], np.unique(label)[None]).astype(np.float64)  # [P, K]
    wholes = (weights * whole) @ classes
    seen = wholes > 0
    ratios = np.divide((weights * part) @ classes, wholes, out=np.zeros_like(wholes), where=seen)
    mean: Values = ratios.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return mean


def _resample(overlaps: Overlaps, seed: int) -> dict[str, Values]:
    chunks = [compute_metrics(overlaps, weights) for weights in _draw_weights(overlaps.image, seed)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _draw_weights(image: NDArray[np.intp], seed: int) -> Iterator[Values]:
    """How often each pair counts when images are drawn with replacement, NUM_RESAMPLES rows in chunks."""
    rng = np.random.default_rng(seed)
    _, members = np.unique(image, return_inverse=True)
    num_images = int(members.max()) + 1
    for _ in range(NUM_RESAMPLES // _CHUNK):
        counts = rng.multinomial(num_images, np.full(num_images, 1 / num_images), size=_CHUNK)
        yield counts[:, members].astype(np.float64)


def _interval(values: Values) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
