"""`POST /v1/jobs:preview`: a few images of a job of kind mine, labelled at once as the job would."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from dap_core.errors import ImageError, InputError, StoreError, StoreRefusedError, StoreUnavailableError
from dap_core.gallery.pictures import shrink_image
from dap_core.images import decode_image, encode_jpeg
from dap_core.label_sets import PlanRow
from dap_core.recipes import Recipe
from services.api.answers import BoxesAnswer, ItemAnswer, describe_answer
from services.api.boxes import BoxesService, describe_outcome
from services.api.documentation import problem_responses
from services.api.forms import MAX_IMAGE_BYTES
from services.api.job_requests import describe_body
from services.api.job_service import JobService
from services.api.json_values import EscapedJSONResponse
from services.api.parameters import BoxesParams, explain_invalid
from services.api.problems import ProblemError
from services.api.queries import StrictQuery
from services.api.waiting import Outcome, until_disconnect
from services.jobs.specs import MineSpec
from services.labeling import LabelRequest, ModelInfo
from services.sources import open_labelled_source

PREVIEW_PATH = "/v1/jobs:preview"
MAX_IMAGES = 6
_SIDE, _SEED, _LOOKED_AT = 512, 0, 50
_NAMES = {"scales": "short_sides"}


class PreviewQuery(StrictQuery):
    """How many images."""

    images: int = Field(3, ge=1, le=MAX_IMAGES, description="Images to label at most.")


class PreviewItem(ItemAnswer):
    """One image by its key, as in the answer of `POST /v1/boxes`; `jpeg` is a small picture of it in base64."""

    key: str
    jpeg: str | None


class PreviewAnswer(BoxesAnswer):
    """A few images of the source, always the same; labelled by the model of this service, which may be another one."""

    items: list[PreviewItem]  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class _Sampled:
    key: str
    data: bytes
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreviewService:
    """What the route works with; images under way are counted together with those of `POST /v1/boxes`."""

    jobs: JobService
    boxes: BoxesService

    async def answer(self, request: Request, query: PreviewQuery) -> Response:
        """The whole way of a request."""
        drafts, _ = await self.jobs.read_drafts(request)
        spec = drafts[0].spec
        if len(drafts) > 1 or not isinstance(spec, MineSpec):
            detail = "a preview is of one job of kind mine"
            raise ProblemError("invalid-parameter", detail, errors=[("#/kind", detail)])
        self.jobs.desk.check(drafts)
        recipe = _make_recipe(spec)
        model = await self.boxes.describe_model()
        with self.boxes.admit(query.images), self.boxes.admission.hold_bytes() as count:
            sample = await self.jobs.run(_read_sample, spec, query.images)
            count(sum(len(one.data) for one in sample))
            requests = [LabelRequest(one.data, one.labels, recipe) for one in sample]
            outcomes = await until_disconnect(request, self.boxes.label(requests))
            answer = _Answer(request.state.request_id, model, recipe)
            return await asyncio.to_thread(answer.render, sample, outcomes)


def make_preview_router(service: PreviewService) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        PREVIEW_PATH,
        summary="A few images as a job would label them",
        response_class=JSONResponse,
        responses={
            **problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 431, 503, 504),
            200: {"model": PreviewAnswer},
        },
        openapi_extra={"requestBody": describe_body()},
    )
    async def preview(request: Request, query: Annotated[PreviewQuery, Query()]) -> Response:
        """Images of the source of one job of kind mine, with boxes, maps and small pictures; nothing is written."""
        return await service.answer(request, query)

    return router


def _make_recipe(spec: MineSpec) -> Recipe:
    """The recipe of a job, within what is answered at once. Raises ProblemError."""
    given = {
        "recipe": spec.recipe,
        "scales": spec.short_sides and list(spec.short_sides),
        "thresholds": spec.thresholds and list(spec.thresholds),
        "nms_iou": spec.nms_iou,
    }
    try:
        return BoxesParams.model_validate({name: one for name, one in given.items() if one is not None}).make_recipe()
    except ValidationError as error:
        errors = error.errors(include_url=False)
        named = [{**one, "loc": (_NAMES.get(str(one["loc"][0]), one["loc"][0]), *one["loc"][1:])} for one in errors]
        raise explain_invalid(named, "#", list(MineSpec.model_fields)) from None


def _read_sample(spec: MineSpec, num_images: int) -> list[_Sampled]:
    """Some images that have labels, of equal sources the same ones. Raises ProblemError, StoreError."""
    try:
        source = open_labelled_source(spec, spec.out).source
        rows = _choose_rows(source.rows, num_images)
        return [_Sampled(row.key, source.store.get(row.key), row.labels) for row in rows]
    except (StoreUnavailableError, StoreRefusedError):
        raise
    except (InputError, StoreError) as error:
        raise ProblemError("invalid-parameter", str(error), errors=[("#/source", str(error))]) from error


def _choose_rows(rows: Sequence[PlanRow], num_images: int) -> list[PlanRow]:
    looked_at = min(len(rows), _LOOKED_AT * num_images)
    places = np.random.default_rng(_SEED).choice(len(rows), looked_at, replace=False)
    drawn = (rows[place] for place in places.tolist())
    usable = {row.key: row for row in drawn if row.labels and row.size <= MAX_IMAGE_BYTES}
    if not usable:
        raise InputError(f"none of {looked_at} images that were looked at has a label and is small enough to be shown")
    return list(usable.values())[:num_images]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer in JSON; written in a thread, as maps and pictures take a while."""

    request_id: str
    model: ModelInfo
    recipe: Recipe

    def render(self, sample: list[_Sampled], outcomes: list[Outcome]) -> Response:
        """The answer to a request."""
        items = []
        for index, (one, outcome) in enumerate(zip(sample, outcomes, strict=True)):
            found = describe_outcome(outcome, self.model, self.request_id, f"image {one.key!r}", cams=True)
            items.append({"index": index, "name": None, "key": one.key, "jpeg": _draw(one.data), **found})
        return EscapedJSONResponse(describe_answer(self.request_id, self.model, self.recipe, items))


def _draw(data: bytes) -> str | None:
    try:
        pixels = decode_image(data).pixels
    except ImageError:
        return None
    return base64.b64encode(encode_jpeg(shrink_image(pixels, _SIDE))).decode()
