"""`POST /v1/boxes`: images in, boxes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from dap_core.gallery import draw_overlay
from dap_core.images import decode_image
from dap_core.recipes import Recipe
from dap_core.types import FailedImage, LabeledImage
from services.api.accepting import PNG, choose_media_type
from services.api.admission import Admission
from services.api.answers import BoxesAnswer, describe_answer, describe_image
from services.api.bodies import BodyLimits, Upload, read_upload
from services.api.documentation import BOXES_PARAMETERS, BOXES_REQUEST, problem_responses
from services.api.json_values import EscapedJSONResponse
from services.api.metrics import Metrics
from services.api.parameters import BoxesParams, parse_params, parse_query
from services.api.problems import UNFORESEEN, ProblemError, as_problem, make_pointer, problem_body
from services.api.waiting import Outcome, gather_outcomes, raise_failure, until_disconnect
from services.labeling import Labeling, LabelRequest, ModelInfo, NotReadyError

LOGGER = logging.getLogger("dap.api")
BOXES_PATH = "/v1/boxes"
_RETRY_NOT_READY_S = 2


@dataclass(frozen=True)
class BoxesService:
    """What the route works with."""

    labeling: Labeling
    admission: Admission
    metrics: Metrics
    deadline_s: float
    body_limits: BodyLimits

    async def answer(self, request: Request) -> Response:
        """The whole way of a request."""
        media_type = choose_media_type(request.headers.get("accept", ""))
        model = await self.describe_model()
        with self.admission.hold_bytes() as count:
            upload = await read_upload(request, self.body_limits, count)
            params = read_params(request, upload)
            labels = params.labels_of_each(len(upload.files))
            if media_type == PNG and len(upload.files) > 1:
                raise ProblemError("not-acceptable", "a picture can be had of one image at a time; send one")
            with self.admit(len(upload.files)):
                recipe = params.make_recipe()
                requests = [
                    LabelRequest(file.data, of_one, recipe) for file, of_one in zip(upload.files, labels, strict=True)
                ]
                outcomes = await until_disconnect(request, self.label(requests))
                self._count(outcomes)
                if media_type == PNG or not upload.is_multipart:
                    raise_failure(outcomes)
                if media_type == PNG:
                    return await asyncio.to_thread(_draw, requests[0], outcomes[0])
                answer = _Answer(request.state.request_id, model, recipe, params.cams)
                return await asyncio.to_thread(answer.render, upload, outcomes)

    async def describe_model(self) -> ModelInfo:
        """What runs. Raises ProblemError `model-not-ready`."""
        try:
            return await self.labeling.describe()
        except NotReadyError as error:
            raise _not_ready(str(error) or "the model is loading") from error

    async def label(self, requests: list[LabelRequest]) -> list[Outcome]:
        """What becomes of each, in order. Raises ProblemError after the deadline, or when no labeler can be reached."""
        outcomes: list[Outcome] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(self.deadline_s):
                outcomes = await gather_outcomes(self.labeling, requests)
        if not outcomes:
            detail = f"there was no answer within {self.deadline_s:g} s"
            raise ProblemError("deadline-exceeded", detail, retry_after_s=self.admission.estimate_wait_s())
        if any(isinstance(outcome, NotReadyError) for outcome in outcomes):
            raise _not_ready("no labeler can be reached at the moment")
        return outcomes

    @contextmanager
    def admit(self, num_images: int) -> Iterator[None]:
        """Counts images while inside. Raises ProblemError `overloaded` when they do not fit."""
        try:
            with self.admission.admit(num_images):
                self.note_in_flight()
                yield
        finally:
            self.note_in_flight()

    def note_in_flight(self) -> None:
        """Has the metrics say what is under way now."""
        self.metrics.note_in_flight(self.admission.in_flight, self.admission.limit)

    def _count(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, LabeledImage):
                self.metrics.count_image("ok", len(outcome.boxes))
            elif isinstance(outcome, FailedImage):
                self.metrics.count_image(outcome.error.error_type)
            else:
                self.metrics.count_image("internal-error")


def make_router(service: BoxesService) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        BOXES_PATH,
        summary="Pseudo boxes of images",
        response_class=JSONResponse,
        responses={
            **problem_responses(400, 401, 403, 406, 408, 413, 415, 422, 431, 503, 504),
            200: {"model": BoxesAnswer, "content": {PNG: {"schema": {"type": "string", "format": "binary"}}}},
        },
        openapi_extra={"requestBody": BOXES_REQUEST, "parameters": BOXES_PARAMETERS},
    )
    async def boxes(request: Request) -> Response:
        """Boxes of one image, sent as the body, or of up to 32 in a multipart form, in their order."""
        return await service.answer(request)

    return router


def read_params(request: Request, upload: Upload) -> BoxesParams:
    """The parameters: of a multipart form its part `params`, of an image alone the query."""
    if not upload.is_multipart:
        return parse_query(request.query_params)
    if request.query_params:
        name = next(iter(request.query_params))
        raise ProblemError(
            "unknown-parameter",
            "the parameters of a multipart request stand in its part params, not in the query",
            errors=[(make_pointer("#/query", name), "belongs into the part params")],
        )
    return parse_params(upload.params)


@dataclass(frozen=True)
class _Answer:
    """The answer in JSON; written in a thread, because maps of many images take a while."""

    request_id: str
    model: ModelInfo
    recipe: Recipe
    with_cams: bool

    def render(self, upload: Upload, outcomes: list[Outcome]) -> Response:
        """The answer to a request."""
        items = []
        for index, (file, outcome) in enumerate(zip(upload.files, outcomes, strict=True)):
            found = describe_outcome(outcome, self.model, self.request_id, f"image {index}", cams=self.with_cams)
            items.append({"index": index, "name": file.name, **found})
        return EscapedJSONResponse(describe_answer(self.request_id, self.model, self.recipe, items))


def describe_outcome(outcome: Outcome, model: ModelInfo, request_id: str, image: str, *, cams: bool) -> dict[str, Any]:
    """What became of an image, or its problem; `image` names it in the log where that is a defect of ours."""
    if isinstance(outcome, LabeledImage):
        return describe_image(outcome, model.classes, cams=cams)
    if isinstance(outcome, FailedImage):
        return {"problem": problem_body(as_problem(outcome.error), request_id)}
    LOGGER.error("request %s broke at %s", request_id, image, exc_info=outcome)
    return {"problem": problem_body(ProblemError("internal-error", UNFORESEEN), request_id)}


def _draw(request: LabelRequest, image: Outcome) -> Response:
    assert isinstance(image, LabeledImage)
    return Response(draw_overlay(decode_image(request.data).pixels, image, request.recipe), media_type=PNG)


def _not_ready(detail: str) -> ProblemError:
    return ProblemError("model-not-ready", detail, retry_after_s=_RETRY_NOT_READY_S)
