"""COCO's average precision, by faster-coco-eval; its values are those of pycocotools.

Definition: cocodataset.org/#detection-eval. Per class and IoU 0.50 to 0.95 in steps of 0.05, precision is the highest
at that recall or above, averaged over 101 recalls. At most 100 detections per image and class count. An ignored box
is taken as a crowd: a detection of which enough lies inside it does not count. Areas are those of boxes; COCO's own
annotations give the area of the mask, so its AP by size differs a little from ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from dap_core.evaluation.detection_truth import DetectionTruth, Found

_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_IOU50, _IOU75 = 0, 5
_GROUP_DETECTIONS = 50_000


@dataclass(frozen=True, slots=True)
class ClassCocoPrecision:
    """AP of one class in [0, 1]; NaN for a class of which nothing is to be found."""

    name: str
    num_truth: int
    ap: float
    ap50: float


@dataclass(frozen=True, slots=True)
class CocoPrecision:
    """COCO's figures in [0, 1], means over the classes that have boxes to find; NaN where there are none.

    Small is an area below 32 squared, large one above 96 squared, in pixels of the image.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    recall: float
    """Average recall at 100 detections (AR)."""
    by_class: tuple[ClassCocoPrecision, ...]


def compute_coco_precision(found: Found, truth: DetectionTruth) -> CocoPrecision:
    """COCO's figures of detections, in the pixels that boxes were drawn in. Images without truth do not count."""
    drawn = np.flatnonzero(truth.count_boxes() + truth.count_ignored())
    precision, recall = np.full((10, 101, len(truth.classes), 4), -1.0), np.full((10, len(truth.classes), 4), -1.0)
    for labels in _group_classes(drawn, found, truth):
        results = _run(_select(found, labels), truth.select(labels))
        precision[:, :, labels], recall[:, labels] = results["precision"][..., 0], results["recall"][..., 0]
    return _describe(precision, recall, truth)


def _group_classes(drawn: NDArray[np.intp], found: Found, truth: DetectionTruth) -> Iterator[NDArray[np.intp]]:
    """Classes in groups of not many more than `_GROUP_DETECTIONS` detections: memory is that of one group."""
    known = (found[key].labels for key in truth.images if key in found)
    counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *known]), minlength=len(truth.classes))[drawn]
    groups = np.cumsum(counts) // _GROUP_DETECTIONS
    for group in np.unique(groups):
        yield drawn[groups == group]


def _run(found: Found, truth: DetectionTruth) -> dict[str, NDArray[np.float64]]:
    """Precision [T, R, K, A, 1] and recall [T, K, A, 1] of the classes that are drawn."""
    evaluator = COCOeval_faster(_index(list_truth(truth), truth), _index(list_detections(found, truth), truth), "bbox")
    evaluator.params.maxDets = [100]
    evaluator.params.catIds = (np.flatnonzero(truth.count_boxes() + truth.count_ignored()) + 1).tolist()
    evaluator.evaluate()
    evaluator.accumulate()
    results: dict[str, NDArray[np.float64]] = evaluator.eval
    return results


def _select(found: Found, labels: NDArray[np.intp]) -> Found:
    return {key: one.take(np.isin(one.labels, labels)) for key, one in found.items()}


def list_truth(truth: DetectionTruth) -> list[dict[str, Any]]:
    """The drawn boxes as COCO annotations; images count from 1 in the order of the truth, classes from 1."""
    listed: list[dict[str, Any]] = []
    for image_id, drawn in enumerate(truth.images.values(), 1):
        for box, label, ignored in zip(_to_xywh(drawn.boxes), drawn.labels.tolist(), drawn.ignored, strict=True):
            listed.append(_make_annotation(len(listed) + 1, image_id, label, box) | {"iscrowd": int(ignored)})
    return listed


def list_detections(found: Found, truth: DetectionTruth) -> list[dict[str, Any]]:
    """The detections as COCO results, with the image and class numbers of `list_truth`."""
    listed: list[dict[str, Any]] = []
    for image_id, key in enumerate(truth.images, 1):
        if (one := found.get(key)) is None:
            continue
        for box, label, score in zip(_to_xywh(one.boxes), one.labels.tolist(), one.scores.tolist(), strict=True):
            listed.append(_make_annotation(len(listed) + 1, image_id, label, box) | {"iscrowd": 0, "score": score})
    return listed


def list_images(truth: DetectionTruth) -> list[dict[str, Any]]:
    """The images as COCO counts them."""
    return [{"id": image_id, "file_name": key} for image_id, key in enumerate(truth.images, 1)]


def list_categories(truth: DetectionTruth) -> list[dict[str, Any]]:
    """The classes as COCO counts them."""
    return [{"id": index, "name": item.name} for index, item in enumerate(truth.classes.classes, 1)]


def _make_annotation(number: int, image_id: int, label: int, box: list[float]) -> dict[str, Any]:
    return {"id": number, "image_id": image_id, "category_id": label + 1, "bbox": box, "area": box[2] * box[3]}


def _to_xywh(boxes: NDArray[np.float32]) -> list[list[float]]:
    corners = boxes.astype(np.float64)
    listed: list[list[float]] = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()
    return listed


def _index(annotations: list[dict[str, Any]], truth: DetectionTruth) -> COCO:
    coco = COCO()
    coco.dataset = {"images": list_images(truth), "categories": list_categories(truth), "annotations": annotations}
    coco.createIndex()
    return coco


def _describe(precision: NDArray[np.float64], recall: NDArray[np.float64], truth: DetectionTruth) -> CocoPrecision:
    """Figures of precision [T, R, K, A] and recall [T, K, A], -1 where there is nothing to find."""
    counts = truth.count_boxes().tolist()
    by_class = tuple(
        ClassCocoPrecision(
            item.name, counts[index], _mean(precision[:, :, index, _ALL]), _mean(precision[_IOU50, :, index, _ALL])
        )
        for index, item in enumerate(truth.classes.classes)
    )
    return CocoPrecision(
        ap=_mean(precision[..., _ALL]),
        ap50=_mean(precision[_IOU50, ..., _ALL]),
        ap75=_mean(precision[_IOU75, ..., _ALL]),
        ap_small=_mean(precision[..., _SMALL]),
        ap_medium=_mean(precision[..., _MEDIUM]),
        ap_large=_mean(precision[..., _LARGE]),
        recall=_mean(recall[..., _ALL]),
        by_class=by_class,
    )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")
