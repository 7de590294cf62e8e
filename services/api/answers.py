"""Labelled images as JSON values, and the shapes of all answers for the OpenAPI document."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from pydantic import BaseModel

from dap_core.recipes import Recipe
from dap_core.types import Cam, ClassList, LabeledImage
from services.labeling import ModelInfo


class ClassAnswer(BaseModel):
    """One class of the classifier."""

    index: int
    wnid: str
    name: str


class ScoredClass(ClassAnswer):
    """A class with the classifier's probability for this image, null where the network gave no number."""

    score: float | None


class BoxAnswer(BaseModel):
    """One pseudo box: corners in pixels of the upright image, the index of its label, mean activation, threshold."""

    xyxy: tuple[float, float, float, float]
    label: int
    score: float
    threshold: float


class NoBoxReason(BaseModel):
    """A label without boxes, and why: flat-map, not-finite or no-extent."""

    label: int
    reason: str


class CamAnswer(BaseModel):
    """The map of one forward pass and label; `values` is base64 of little-endian uint16, row by row."""

    label: int
    short_side: int
    mirrored: bool
    height: int
    width: int
    lowest: float | None
    highest: float | None
    origin_xy: tuple[float, float]
    pitch_xy: tuple[float, float]
    valid_hw: tuple[int, int]
    values: str


class ProblemAnswer(BaseModel):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    retryable: bool
    retry_after_s: int | None = None
    errors: list[dict[str, str]] | None = None


class ItemAnswer(BaseModel):
    """One image of the request: what was found, or its problem."""

    index: int
    name: str | None
    width: int | None = None
    height: int | None = None
    exif_orientation: int | None = None
    labels: list[ScoredClass] | None = None
    top1: ScoredClass | None = None
    boxes: list[BoxAnswer] | None = None
    no_box_reasons: list[NoBoxReason] | None = None
    cams: list[CamAnswer] | None = None
    problem: ProblemAnswer | None = None


class ModelAnswer(BaseModel):
    """What drew the maps."""

    classifier: str
    weights_sha256: str
    engine: str
    precision: str


class BoxesAnswer(BaseModel):
    """The answer of `POST /v1/boxes`; `recipe` is the whole record that the boxes were cut by."""

    request_id: str
    model: ModelAnswer
    recipe: dict[str, Any]
    items: list[ItemAnswer]


def describe_model(model: ModelInfo) -> dict[str, Any]:
    """The model of an answer."""
    return {
        "classifier": model.classifier,
        "weights_sha256": model.weights_sha256,
        "engine": model.engine,
        "precision": model.precision,
    }


def describe_answer(request_id: str, model: ModelInfo, recipe: Recipe, items: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole answer."""
    return {"request_id": request_id, "model": describe_model(model), "recipe": recipe.to_dict(), "items": items}


def describe_class(classes: ClassList, index: int) -> dict[str, Any]:
    """A class."""
    return {"index": index, "wnid": classes[index].wnid, "name": classes[index].name}


def describe_image(image: LabeledImage, classes: ClassList, *, cams: bool) -> dict[str, Any]:
    """What was found in one image."""
    width, height = image.size_wh
    found: dict[str, Any] = {
        "width": width,
        "height": height,
        "exif_orientation": image.exif_orientation,
        "labels": [
            {**describe_class(classes, label), "score": _drop_nan(score)}
            for label, score in zip(image.labels, image.label_scores, strict=True)
        ],
        "top1": {**describe_class(classes, image.top1), "score": _drop_nan(image.top1_score)},
        "boxes": [
            {
                "xyxy": [_shorten(side) for side in box.xyxy],
                "label": box.label,
                "score": _shorten(box.score),
                "threshold": _shorten(box.threshold),
            }
            for box in image.boxes
        ],
        "no_box_reasons": [{"label": label, "reason": reason} for label, reason in image.mined.no_box_reasons],
    }
    if cams:
        found["cams"] = [_describe_cam(cam) for cam in image.cams]
    return found


def _shorten(value: float) -> float:
    """A float32 with no more digits than tell it from its neighbours: 0.12, not 0.11999999731779099."""
    return float(str(np.float32(value)))


def _drop_nan(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _describe_cam(cam: Cam) -> dict[str, Any]:
    return {
        "label": cam.label,
        "short_side": cam.short_side,
        "mirrored": cam.mirrored,
        "height": cam.values.shape[0],
        "width": cam.values.shape[1],
        "lowest": _drop_nan(cam.lowest),
        "highest": _drop_nan(cam.highest),
        "origin_xy": cam.origin_xy,
        "pitch_xy": cam.pitch_xy,
        "valid_hw": cam.valid_hw,
        "values": base64.b64encode(cam.values.astype("<u2").tobytes()).decode(),
    }
