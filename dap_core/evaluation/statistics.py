"""What a label set holds, in numbers: boxes, sizes, labels, agreement with the classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dap_core.boxes import BoxArray, compute_areas
from dap_core.label_sets import LabelSet, LabelSetRow

SIZE_EDGES = tuple(index / 10 for index in range(11))
SCORE_EDGES = SIZE_EDGES
ASPECT_EDGES = (0.0, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0, float("inf"))
MAX_COUNT = 8


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between edges; bin i is [edges[i], edges[i + 1]), the last one closed."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LabelSetStatistics:
    """Numbers of one label set. Sizes are in pixels of the upright images."""

    num_images: int
    num_failed: int
    num_boxes: int
    num_labels: int
    """Different labels among the images."""
    mean_image_wh: tuple[float, float]
    mean_box_wh: tuple[float, float]
    boxes_per_image: Histogram
    """0 to 7 boxes, then 8 or more."""
    relative_size: Histogram
    """sqrt(box area / image area)."""
    aspect: Histogram
    """Box width over box height."""
    scores: Histogram
    """Of boxes, in [0, 1]."""
    mean_score: float
    top1_agreement: float
    """Share of images whose label is the classifier's first choice."""
    no_box_reasons: dict[str, int]
    """Labels without a box, by reason."""

    @property
    def mean_boxes_per_image(self) -> float:
        """Boxes per labelled image."""
        return self.num_boxes / max(self.num_images, 1)


def compute_statistics(label_set: LabelSet) -> LabelSetStatistics:
    """The statistics of a label set, in one pass that reads neither images nor maps."""
    return summarise_rows(label_set.rows(cams=False), label_set.manifest.counts.num_failed)


def summarise_rows(rows: Iterable[LabelSetRow], num_failed: int) -> LabelSetStatistics:
    """The statistics of some rows of a label set, in which `num_failed` images failed."""
    counts: Counter[int] = Counter()
    reasons: Counter[str] = Counter()
    labels: set[int] = set()
    num_agreeing = 0
    image_wh: NDArray[np.float64] = np.zeros(2)
    sides: list[NDArray[np.float32]] = []
    sizes: list[NDArray[np.float64]] = []
    scores: list[NDArray[np.float32]] = []
    for row in rows:
        boxes = row.boxes.boxes
        counts[min(len(boxes), MAX_COUNT)] += 1
        reasons.update(reason for _, reason in row.no_box_reasons)
        labels.update(row.labels)
        num_agreeing += row.top1 in row.labels
        image_wh += row.size_wh
        sides.append(boxes[:, 2:] - boxes[:, :2])
        sizes.append(np.sqrt(compute_areas(boxes) / (row.size_wh[0] * row.size_wh[1])).astype(np.float64))
        scores.append(row.boxes.scores)
    num_images = max(counts.total(), 1)
    all_sides = np.concatenate(sides) if sides else np.zeros((0, 2), np.float32)
    all_scores = np.concatenate(scores) if scores else np.zeros(0, np.float32)
    num_boxes = len(all_sides)
    mean_box = all_sides.mean(axis=0, dtype=np.float64) if num_boxes else np.zeros(2)
    return LabelSetStatistics(
        num_images=counts.total(),
        num_failed=num_failed,
        num_boxes=num_boxes,
        num_labels=len(labels),
        mean_image_wh=(float(image_wh[0]) / num_images, float(image_wh[1]) / num_images),
        mean_box_wh=(float(mean_box[0]), float(mean_box[1])),
        boxes_per_image=Histogram(
            tuple(map(float, range(MAX_COUNT + 2))), tuple(counts[number] for number in range(MAX_COUNT + 1))
        ),
        relative_size=_count(np.concatenate(sizes) if sizes else np.zeros(0), SIZE_EDGES),
        aspect=_count(all_sides[:, 0] / np.maximum(all_sides[:, 1], 1e-6), ASPECT_EDGES),
        scores=_count(np.clip(all_scores, 0, 1), SCORE_EDGES),
        mean_score=float(all_scores.sum(dtype=np.float64)) / max(num_boxes, 1),
        top1_agreement=num_agreeing / num_images,
        no_box_reasons=dict(reasons),
    )


def _count(values: BoxArray, edges: tuple[float, ...]) -> Histogram:
    counts, _ = np.histogram(values, np.array(edges))
    return Histogram(edges, tuple(counts.tolist()))
