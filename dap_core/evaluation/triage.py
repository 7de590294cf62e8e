"""Images to look at first, without any truth: where classifier, scales and boxes do not agree.

The levels were set on 320 ImageNet training images so that each reason marks a useful minority; how many each
marks is in `docs/paper-statistics.md`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from dap_core.boxes import compute_areas, compute_iou
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.mining import mine_boxes
from dap_core.recipes import PredictionRecipe, Recipe
from dap_core.types import ClassList, PseudoBoxes

LEAST_SCALE_IOU = 0.25
"""Largest boxes of two scales that overlap less than this disagree."""
MOST_IMAGE_SHARE = 0.95
"""A box above this share of the image's area is no localisation."""
LEAST_LABEL_SCORE = 0.012
"""A label to which the classifier gives less than this probability is doubtful."""
MAX_SUSPICIONS = 10_000


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One image to look at: how bad it looks (higher is worse; the sum over reasons) and why, in words."""

    key: str
    badness: float
    reasons: tuple[str, ...]


def judge_row(row: LabelSetRow, classes: ClassList, recipe: Recipe | PredictionRecipe) -> Suspicion:
    """What is odd about one labelled image, the worst reason first; no reasons and badness 0 when nothing is."""
    found = [
        *_judge_boxes(row, classes),
        *_judge_classification(row, classes),
        *_judge_scales(row, recipe),
    ]
    found.sort(key=lambda one: -one[0])
    return Suspicion(row.key, sum(badness for badness, _ in found), tuple(reason for _, reason in found))


def find_suspicious(label_set: LabelSet, *, limit: int = MAX_SUSPICIONS) -> list[Suspicion]:
    """The images with at least one reason, worst first, at most `limit`; one pass over the set."""
    recipe = label_set.manifest.settings.recipe
    judged = (judge_row(row, label_set.classes, recipe) for row in label_set.rows())
    odd = (suspicion for suspicion in judged if suspicion.reasons)
    return heapq.nsmallest(limit, odd, key=lambda item: (-item.badness, item.key))


def _judge_boxes(row: LabelSetRow, classes: ClassList) -> Iterator[tuple[float, str]]:
    for label, reason in row.no_box_reasons:
        yield 2.0, f"no box for {classes[label].name}: {reason}"
    if not len(row.boxes):
        return
    share = float(compute_areas(row.boxes.boxes).max()) / (row.size_wh[0] * row.size_wh[1])
    if share > MOST_IMAGE_SHARE:
        yield 0.5, f"a box covers {share:.0%} of the image"


def _judge_classification(row: LabelSetRow, classes: ClassList) -> Iterator[tuple[float, str]]:
    if not row.labels:
        return
    names = ", ".join(
        f"{classes[label].name} ({score:.2f})" for label, score in zip(row.labels, row.label_scores, strict=True)
    )
    if row.top1 not in row.labels:
        best = max(row.label_scores)
        yield (
            0.5 + min(math.log(row.top1_score / best), 1.5) if best > 0 else 2.0,
            f"the classifier says {classes[row.top1].name} ({row.top1_score:.2f}), the label is {names}",
        )
    elif min(row.label_scores) < LEAST_LABEL_SCORE:
        yield 0.5, f"low score: {names}"


def _judge_scales(row: LabelSetRow, recipe: Recipe | PredictionRecipe) -> Iterator[tuple[float, str]]:
    if isinstance(recipe, PredictionRecipe):
        return
    short_sides = sorted({cam.short_side for cam in row.cams})
    if len(short_sides) < 2:
        return
    largest = [
        _largest_box(mine_boxes([cam for cam in row.cams if cam.short_side == side], row.size_wh, recipe.mining).boxes)
        for side in (short_sides[0], short_sides[-1])
    ]
    if not all(map(len, largest)):
        return
    iou = float(compute_iou(largest[0].boxes, largest[1].boxes)[0, 0])
    if iou < LEAST_SCALE_IOU:
        yield 1 - iou, f"scales {short_sides[0]} and {short_sides[-1]} disagree: IoU {iou:.2f}"


def _largest_box(boxes: PseudoBoxes) -> PseudoBoxes:
    return boxes.take(compute_areas(boxes.boxes).argsort(kind="stable")[-1:])
