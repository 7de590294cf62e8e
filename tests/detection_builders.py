"""Detections and drawn boxes made by hand or at random, and a plain evaluator of VOC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dap_core.evaluation.detection_truth import DetectionTruth, DrawnBoxes
from dap_core.types import PredictedImage
from tests.builders import make_classes

Box = tuple[float, float, float, float]


def make_found(*detections: tuple[int, float, Box], size_wh: tuple[int, int] = (200, 200)) -> PredictedImage:
    """What was found in one image: class, score and box of each, best first."""
    ordered = sorted(detections, key=lambda one: -one[1])
    return PredictedImage(
        size_wh,
        1,
        np.array([box for _, _, box in ordered], np.float32).reshape(-1, 4),
        np.array([label for label, _, _ in ordered], np.int64),
        np.array([score for _, score, _ in ordered], np.float32),
    )


def make_drawn(*boxes: tuple[int, Box], ignored: Sequence[int] = ()) -> DrawnBoxes:
    """The boxes of one image: class and box of each; those at the places `ignored` are difficult."""
    return DrawnBoxes(
        np.array([box for _, box in boxes], np.float32).reshape(-1, 4),
        np.array([label for label, _ in boxes], np.int64),
        np.isin(np.arange(len(boxes)), ignored),
    )


def make_truth(images: dict[str, DrawnBoxes], num_classes: int = 2) -> DetectionTruth:
    """Truth of these images."""
    return DetectionTruth(make_classes(num_classes), images)


def make_random_case(
    seed: int, *, num_images: int = 12, num_classes: int = 4, share_ignored: float = 0.15, most_found: int = 40
) -> tuple[dict[str, PredictedImage], DetectionTruth]:
    """Drawn boxes of all sizes, and detections of which about half lie near one; the last class is never drawn.

    Scores are coarse, so many are equal. One image has nothing drawn, one has no detections, one is not found at all.
    """
    rng = np.random.default_rng(seed)
    images: dict[str, DrawnBoxes] = {}
    found: dict[str, PredictedImage] = {}
    for index in range(num_images):
        num_drawn = 0 if index == 1 else int(rng.integers(1, 9))
        drawn = _draw(rng, num_drawn)
        labels = rng.integers(0, num_classes - 1, num_drawn)
        images[f"{index}.jpg"] = DrawnBoxes(drawn, labels.astype(np.int64), rng.random(num_drawn) < share_ignored)
        if index != 3:
            found[f"{index}.jpg"] = _detect(rng, images[f"{index}.jpg"], num_classes, 0 if index == 2 else most_found)
    return found, make_truth(images, num_classes)


def _draw(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    sides = np.exp(rng.uniform(np.log(8), np.log(250), (count, 2)))
    corners = rng.uniform(0, 300, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def _detect(rng: np.random.Generator, drawn: DrawnBoxes, num_classes: int, most: int) -> PredictedImage:
    boxes, labels = [_draw(rng, most // 2)], [rng.integers(0, num_classes, most // 2)]
    if len(drawn.boxes):
        chosen = rng.integers(0, len(drawn.boxes), most // 2)
        near = drawn.boxes[chosen]
        sides = np.tile(near[:, 2:] - near[:, :2], 2)
        boxes.append((near + rng.normal(0, 0.08, near.shape) * sides).astype(np.float32))
        labels.append(drawn.labels[chosen])
    together, classes = np.concatenate(boxes), np.concatenate(labels)
    scores = np.round(rng.random(len(together)), 2).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return PredictedImage((600, 600), 1, together[order], classes[order].astype(np.int64), scores[order])


def evaluate_voc_plainly(
    found: dict[str, PredictedImage], truth: DetectionTruth, label: int, *, eleven_points: bool
) -> float:
    """AP50 of one class as the development kit's VOCevaldet.m and VOCap.m go about it, one box after the other."""
    num_truth = sum(
        int(one == label and not odd)
        for drawn in truth.images.values()
        for one, odd in zip(drawn.labels, drawn.ignored, strict=True)
    )
    right, wrong = _assign_plainly(found, truth, label)
    recall = np.cumsum(right) / num_truth
    precision = np.cumsum(right) / np.maximum(np.cumsum(right) + np.cumsum(wrong), 1)
    if eleven_points:
        return float(np.mean([max(precision[recall >= index / 10], default=0) for index in range(11)]))
    padded_recall, padded = np.array([0, *recall, 1.0]), np.array([0, *precision, 0.0])
    for index in range(len(padded) - 2, -1, -1):
        padded[index] = max(padded[index], padded[index + 1])
    steps = np.flatnonzero(padded_recall[1:] != padded_recall[:-1]) + 1
    return float(((padded_recall[steps] - padded_recall[steps - 1]) * padded[steps]).sum())


def _assign_plainly(found: dict[str, PredictedImage], truth: DetectionTruth, label: int) -> tuple[list[int], list[int]]:
    """Whether each detection of a class is right, and whether it is wrong, the highest score first."""
    lines = [
        (float(score), key, box.astype(np.float64))
        for key in truth.images
        if key in found
        for box, own, score in zip(found[key].boxes, found[key].labels, found[key].scores, strict=True)
        if own == label
    ]
    right, wrong, detected = [], [], set()
    for _, key, box in sorted(lines, key=lambda line: -line[0]):
        drawn = truth.images[key]
        highest, nearest = 0.0, -1
        for place in np.flatnonzero(drawn.labels == label).tolist():
            iou = _overlap_plainly(box, drawn.boxes[place].astype(np.float64))
            if iou > highest:
                highest, nearest = iou, place
        hit = highest >= 0.5
        is_ignored = hit and bool(drawn.ignored[nearest])
        is_right = hit and not is_ignored and (key, nearest) not in detected
        if is_right:
            detected.add((key, nearest))
        right.append(int(is_right))
        wrong.append(int(not is_right and not is_ignored))
    return right, wrong


def _overlap_plainly(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return float(width * height / (areas - width * height))
