"""`POST /v1/boxes`: images in, boxes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from dap_core.gallery import draw_overlay
from dap_core.images import decode_image
from dap_core.recipes import Recipe
from dap_core.types import FailedImage, LabeledImage
from services.api.admission import Admission
from services.api.answers import BoxesAnswer, describe_answer, describe_image
from services.api.bodies import Upload, read_upload
from services.api.documentation import BOXES_PARAMETERS, BOXES_REQUEST, problem_responses
from services.api.metrics import Metrics
from services.api.parameters import BoxesParams, parse_params, parse_query
from services.api.problems import ProblemError, as_problem, problem_body
from services.labeling import Labeling, LabelRequest, NotReadyError, Reply

T = TypeVar("T")
_RETRY_NOT_READY_S = 2
_PNG, _JSON = "image/png", "application/json"


@dataclass(frozen=True)
class BoxesService:
    """What the route works with."""

    labeling: Labeling
    admission: Admission
    metrics: Metrics
    deadline_s: float
    body_timeout_s: float
    max_images: int

    async def answer(self, request: Request) -> Response:
        """The whole way of a request."""
        wants_png = choose_media_type(request.headers.get("accept", "")) == _PNG
        upload = await read_upload(request, timeout_s=self.body_timeout_s, max_images=self.max_images)
        params = read_params(request, upload)
        recipe, labels = params.make_recipe(), params.labels_of_each(len(upload.files))
        if wants_png and len(upload.files) > 1:
            raise ProblemError("not-acceptable", "a picture can be had of one image at a time; send one")
        with self.admission.admit(len(upload.files)):
            pairs = zip(upload.files, labels, strict=True)
            requests = [LabelRequest(data, of_one, recipe) for (_, data), of_one in pairs]
            replies = await until_disconnect(request, self._label(requests))
            self._count(replies)
            if not upload.is_multipart or wants_png:
                raise_failure(replies[0])
            if wants_png:
                assert isinstance(replies[0], LabeledImage)
                return Response(await asyncio.to_thread(_draw, upload.files[0][1], replies[0], recipe), media_type=_PNG)
            return await self._describe(request.state.request_id, upload, params, recipe, replies)

    async def _label(self, requests: list[LabelRequest]) -> list[Reply]:
        try:
            async with asyncio.timeout(self.deadline_s):
                return await gather_replies(self.labeling, requests)
        except TimeoutError:
            detail = f"there was no answer within {self.deadline_s:g} s"
            raise ProblemError("deadline-exceeded", detail, retry_after_s=self.admission.estimate_wait_s()) from None
        except NotReadyError:
            detail = "no labeler can be reached at the moment"
            raise ProblemError("model-not-ready", detail, retry_after_s=_RETRY_NOT_READY_S) from None

    async def _describe(
        self, request_id: str, upload: Upload, params: BoxesParams, recipe: Recipe, replies: list[Reply]
    ) -> Response:
        model = await self.labeling.describe()
        items = []
        for index, ((name, _), reply) in enumerate(zip(upload.files, replies, strict=True)):
            item: dict[str, Any] = {"index": index, "name": name}
            if isinstance(reply, FailedImage):
                item["problem"] = problem_body(as_problem(reply.error), request_id)
            else:
                item |= describe_image(reply, model.classes, cams=params.cams)
            items.append(item)
        return JSONResponse(describe_answer(request_id, model, recipe, items))

    def _count(self, replies: list[Reply]) -> None:
        for reply in replies:
            if isinstance(reply, FailedImage):
                self.metrics.images.labels(reply.error.error_type).inc()
            else:
                self.metrics.images.labels("ok").inc()
                self.metrics.boxes.inc(len(reply.boxes))


def make_router(service: BoxesService) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        "/v1/boxes",
        summary="Pseudo boxes of images",
        response_class=JSONResponse,
        responses={
            **problem_responses(400, 401, 403, 406, 408, 413, 415, 422, 431, 503, 504),
            200: {"model": BoxesAnswer, "content": {_PNG: {"schema": {"type": "string", "format": "binary"}}}},
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
            errors=[(f"#/query/{name[:100]}", "belongs into the part params")],
        )
    return parse_params(upload.params)


def choose_media_type(accept: str) -> str:
    """JSON or PNG by the header Accept, JSON where both will do. Raises ProblemError when neither does."""
    weights = {_JSON: 0.0, _PNG: 0.0}
    ranges = [part.strip() for part in accept.split(",") if part.strip()] or ["*/*"]
    for one in ranges:
        name, *options = [part.strip().lower() for part in one.split(";")]
        quality = next((option[2:] for option in options if option.startswith("q=")), "1")
        for kind in weights:
            if name in (kind, kind.split("/")[0] + "/*", "*/*"):
                weights[kind] = max(weights[kind], _read_quality(quality))
    best = max(weights, key=lambda kind: weights[kind])
    if not weights[best]:
        raise ProblemError("not-acceptable", f"answers are {_JSON} or {_PNG}")
    return best


def _read_quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def raise_failure(reply: Reply) -> None:
    """Raises the problem of an image that could not be labelled."""
    if isinstance(reply, FailedImage):
        raise as_problem(reply.error)


async def gather_replies(labeling: Labeling, requests: list[LabelRequest]) -> list[Reply]:
    """The replies in order; the first error cancels the other requests and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(labeling.label(request)) for request in requests]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """What `work` gives; it is cancelled, and ClientDisconnect raised, when the client goes away."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        watching.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _draw(data: bytes, image: LabeledImage, recipe: Recipe) -> bytes:
    return draw_overlay(decode_image(data).pixels, image, recipe)
