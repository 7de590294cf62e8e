"""Answers of the service, read into values. What is unknown is passed over, what is missing is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import httpx

from dap_client.errors import UnexpectedAnswerError
from dap_client.heat_maps import read_cam
from dap_client.problems import Problem, read_problem
from dap_client.results import Box, ImageClass, Result, ScoredClass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoundClasses:
    """The classes that a search found, and how many there are in all."""

    total: int
    classes: tuple[ImageClass, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the service; `recipes` are the records of the named ways to cut boxes."""

    classifier: str
    weights_sha256: str
    num_classes: int
    engine: str
    precision: str
    recipes: Mapping[str, Any]
    default_recipe: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may hold, and how much may be under way."""

    max_body_bytes: int
    max_image_bytes: int
    max_pixels: int
    min_side: int
    max_aspect_ratio: float
    max_scans: int
    max_images: int
    max_params_bytes: int
    deadline_s: float
    max_in_flight: int


def read_answer(response: httpx.Response, read: Callable[[Any], T]) -> T:
    """What `read` makes of the JSON of an answer. Raises UnexpectedAnswerError when it is not as documented."""
    try:
        return read(response.json())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        request = response.request
        raise UnexpectedAnswerError(
            f"the answer to {request.method} {request.url} is not what a DAP service sends "
            f"({type(error).__name__}: {error}); is the address right, and client and service of one version?"
        ) from error


def read_items(values: Mapping[str, Any], names: Sequence[str | None], start: int) -> list[Result]:
    """The results of an answer of `/v1/boxes` to images called `names`, the first of them number `start`."""
    items = values["items"]
    if len(items) != len(names):
        raise ValueError(f"{len(names)} images were sent, {len(items)} items came back")
    return [
        read_item({**item, "index": start + place, "name": name}, values)
        for place, (item, name) in enumerate(zip(items, names, strict=True))
    ]


def read_item(item: Mapping[str, Any], answer: Mapping[str, Any]) -> Result:
    """The result of an item; `answer` is what it came in."""
    origin = {"model": answer["model"], "recipe": answer["recipe"], "raw": item}
    problem = item.get("problem")
    if problem is not None:
        return Result(index=item["index"], name=item["name"], problem=read_problem(problem), **origin)
    return Result(
        index=item["index"],
        name=item["name"],
        width=int(item["width"]),
        height=int(item["height"]),
        exif_orientation=int(item["exif_orientation"]),
        image_labels=tuple(_read_scored(one) for one in item["labels"]),
        top1=_read_scored(item["top1"]),
        boxes=tuple(_read_box(one) for one in item["boxes"]),
        no_box_reasons=tuple((int(one["label"]), str(one["reason"])) for one in item["no_box_reasons"]),
        cams=tuple(read_cam(one) for one in item.get("cams") or ()),
        **origin,
    )


def make_failed(index: int, name: str | None, problem: Problem) -> Result:
    """The result of an image that was refused before the service looked at it."""
    raw = {"index": index, "name": name, "problem": problem.to_json()}
    return Result(index=index, name=name, problem=problem, raw=raw)


def read_classes(values: Mapping[str, Any]) -> FoundClasses:
    """The answer of `/v1/classes`."""
    classes = (ImageClass(int(one["index"]), str(one["wnid"]), str(one["name"])) for one in values["classes"])
    return FoundClasses(int(values["total"]), tuple(classes))


def read_models(values: Mapping[str, Any]) -> list[Model]:
    """The answer of `/v1/models`."""
    return [_pick_fields(Model, one) for one in values["models"]]


def read_limits(values: Mapping[str, Any]) -> Limits:
    """The answer of `/v1/limits`."""
    return _pick_fields(Limits, values)


def _pick_fields(kind: Callable[..., T], values: Mapping[str, Any]) -> T:
    return kind(**{one.name: values[one.name] for one in fields(kind)})  # type: ignore[arg-type]


def _read_scored(values: Mapping[str, Any]) -> ScoredClass:
    return ScoredClass(int(values["index"]), str(values["wnid"]), str(values["name"]), float(values["score"]))


def _read_box(values: Mapping[str, Any]) -> Box:
    x1, y1, x2, y2 = (float(side) for side in values["xyxy"])
    return Box((x1, y1, x2, y2), int(values["label"]), float(values["score"]), float(values["threshold"]))
