"""Label sets as JSON values in answers, and their shapes for the OpenAPI document."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel

from dap_core.evaluation.statistics import LabelSetStatistics
from dap_core.evaluation.triage import Suspicion
from dap_core.label_sets import LabelSetRow
from dap_core.types import ClassList, LabeledImage, MinedBoxes
from services.api.answers import (
    BoxAnswer,
    CamAnswer,
    ClassAnswer,
    NoBoxReason,
    ScoredClass,
    describe_class,
    describe_image,
)
from services.jobs.label_set_views import SampleView


class CountedClass(ClassAnswer):
    """A class with the images of the sample that have it as a label, and its boxes there."""

    images: int
    boxes: int


class SampleAnswer(BaseModel):
    """The first images of the set, which are a random sample of it."""

    images: int


class HistogramAnswer(BaseModel):
    """Counts between edges, of which the last one may be null: without end."""

    edges: list[float | None]
    counts: list[int]


class StatisticsAnswer(BaseModel):
    """Numbers of the sample, but for `num_failed`, which is that of the set; sizes in pixels of the upright images."""

    num_images: int
    num_failed: int
    num_boxes: int
    num_labels: int
    mean_boxes_per_image: float
    mean_image_wh: tuple[float, float]
    mean_box_wh: tuple[float, float]
    boxes_per_image: HistogramAnswer
    relative_size: HistogramAnswer
    aspect: HistogramAnswer
    scores: HistogramAnswer
    mean_score: float | None
    top1_agreement: float
    no_box_reasons: dict[str, int]


class LabelSetAnswer(BaseModel):
    """A label set; classes, statistics and what is suspicious are those of the sample."""

    job: str
    place: str
    state: Literal["complete", "partial"]
    sha256: str
    images: int
    ok: int
    failed: int
    boxes: int
    recipe: dict[str, Any]
    classifier: str
    weights_sha256: str
    engine: str
    precision: str
    has_cams: bool
    classes: list[CountedClass]
    sample: SampleAnswer
    statistics: StatisticsAnswer
    num_suspicious: int


class LabelledImageAnswer(BaseModel):
    """An image of the sample, as in the answer of `POST /v1/boxes`, and why to look at it first."""

    number: int
    key: str
    width: int
    height: int
    exif_orientation: int
    labels: list[ScoredClass]
    top1: ScoredClass
    boxes: list[BoxAnswer]
    no_box_reasons: list[NoBoxReason]
    reasons: list[str]
    cams: list[CamAnswer] | None = None


class LabelledImagesAnswer(BaseModel):
    """A page of images, and how many there are on all pages; `next_cursor` is null on the last one."""

    items: list[LabelledImageAnswer]
    next_cursor: str | None
    total: int


def describe_label_set(job: str, view: SampleView) -> dict[str, Any]:
    """A label set and its sample."""
    label_set, judged = view.label_set, view.judged
    settings, counts = label_set.manifest.settings, label_set.manifest.counts
    return {
        "job": job,
        "place": label_set.store.uri,
        "state": label_set.manifest.state,
        "sha256": label_set.sha256,
        "images": counts.num_planned,
        "ok": counts.num_ok,
        "failed": counts.num_failed,
        "boxes": counts.num_boxes,
        "recipe": settings.recipe.to_dict(),
        "classifier": settings.classifier,
        "weights_sha256": settings.weights_sha256,
        "engine": settings.engine,
        "precision": settings.precision,
        "has_cams": settings.store_cams,
        "classes": _count_classes([one.row for one in view.rows], settings.classes),
        "sample": {"images": len(view.rows)},
        "statistics": _describe_statistics(judged.statistics),
        "num_suspicious": sum(bool(one.reasons) for one in judged.suspicions),
    }


def describe_row(
    number: int, row: LabelSetRow, suspicion: Suspicion, classes: ClassList, *, cams: bool
) -> dict[str, Any]:
    """An image of the sample."""
    image = LabeledImage(
        size_wh=row.size_wh,
        exif_orientation=row.exif_orientation,
        labels=row.labels,
        label_scores=row.label_scores,
        top1=row.top1,
        top1_score=row.top1_score,
        mined=MinedBoxes(row.boxes, row.no_box_reasons),
        cams=row.cams,
    )
    described = describe_image(image, classes, cams=cams)
    return {"number": number, "key": row.key, **described, "reasons": list(suspicion.reasons)}


def _count_classes(rows: list[LabelSetRow], classes: ClassList) -> list[dict[str, Any]]:
    """The classes that occur, those of most images first."""
    images, boxes = Counter[int](), Counter[int]()
    for row in rows:
        images.update(set(row.labels))
        boxes.update(row.boxes.labels.tolist())
    order = sorted(images | boxes, key=lambda index: (-images[index], -boxes[index], index))
    return [{**describe_class(classes, index), "images": images[index], "boxes": boxes[index]} for index in order]


def _describe_statistics(statistics: LabelSetStatistics) -> dict[str, Any]:
    values = {**asdict(statistics), "mean_boxes_per_image": statistics.mean_boxes_per_image}
    for name in ("boxes_per_image", "relative_size", "aspect", "scores"):
        values[name]["edges"] = [edge if math.isfinite(edge) else None for edge in values[name]["edges"]]
    if not math.isfinite(statistics.mean_score):
        values["mean_score"] = None
    return values
