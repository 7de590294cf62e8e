"""The routes of the label sets that jobs have made: numbers, images with their boxes, pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from anyio import CapacityLimiter
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from dap_core.images import find_media_type
from services.api.auth import find_caller
from services.api.job_service import JobService
from services.api.json_values import EscapedJSONResponse
from services.api.label_set_answers import (
    LabelledImageAnswer,
    LabelledImagesAnswer,
    LabelSetAnswer,
    describe_label_set,
    describe_row,
)
from services.api.queries import Nothing, StrictQuery, read_start
from services.jobs.job_views import JobView
from services.jobs.label_set_pictures import LabelSetPictures
from services.jobs.label_set_views import SampleView, SampleViews, add_cams, choose_row
from services.jobs.specs import JobSpec

JPEG, BYTES = "image/jpeg", "application/octet-stream"
_MAX_CLASS, _MAX_NUMBER = 10**6, 10**9
_PICTURES_AT_ONCE = 4
"""A row group and a decoded image may take some hundred megabytes."""
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TYPES = (JPEG, "image/png", "image/webp", "image/gif", BYTES)


class ImagesQuery(StrictQuery):
    """Which images of the sample to list."""

    label: int | None = Field(None, alias="class", ge=0, le=_MAX_CLASS, description="Only images with this label.")
    order: Literal["stored", "worst"] = Field("stored", description="worst: those to look at first come first.")
    only: Literal["all", "no-box"] = Field("all", description="no-box: only images without a box, or one of the class.")
    cams: bool = Field(False, description="Whether items hold the class activation maps.")
    cursor: str | None = Field(None, max_length=40, description="What the page before gave as next_cursor.")
    limit: int = Field(50, ge=1, le=100, description="Images to return at most.")


class FileQuery(StrictQuery):
    """How large the picture is to be."""

    side: int | None = Field(
        None, ge=32, le=1024, description="The longer side of a JPEG in pixels, at most; left out, the original file."
    )


class FailedFileQuery(StrictQuery):
    """How large the picture is to be."""

    side: int = Field(256, ge=32, le=1024, description="Its longer side in pixels, at most.")


Number: TypeAlias = Annotated[int, Path(ge=0, le=_MAX_NUMBER)]


class LabelSetService:
    """What the routes work with."""

    def __init__(self, jobs: JobService) -> None:
        self.jobs = jobs
        self.views = SampleViews()
        self.pictures = LabelSetPictures(self.views, jobs.desk.policy)
        self._drawing = CapacityLimiter(_PICTURES_AT_ONCE)

    async def find_spec(self, request: Request, job: str) -> JobSpec:
        """What a job of the caller was asked."""
        view: JobView = await self.jobs.run(self.jobs.desk.get, find_caller(request), job)
        return view.spec

    async def answer(self, request: Request, job: str, describe: Callable[[SampleView], dict[str, Any]]) -> Response:
        """What `describe` makes of the label set of a job and its sample, as JSON."""
        spec = await self.find_spec(request, job)
        return EscapedJSONResponse(await self.jobs.run(lambda: describe(self.views.look(spec))))

    async def answer_file(self, request: Request, job: str, read: Callable[[JobSpec], bytes]) -> Response:
        """The file that `read` gives."""
        spec = await self.find_spec(request, job)
        async with self._drawing:
            data = await self.jobs.run(read, spec)
        media_type = find_media_type(data)
        headers = {} if media_type else {"Content-Disposition": "attachment"}
        return Response(data, media_type=media_type or BYTES, headers=headers)


def make_label_sets_router(jobs: JobService) -> APIRouter:
    """`/v1/jobs/{job}/label-set`, what is below it, and pictures of failures."""
    router = APIRouter()
    service = LabelSetService(jobs)
    _add_values(router, service)
    _add_files(router, service)
    return router


def _add_values(router: APIRouter, service: LabelSetService) -> None:
    @router.get(
        "/v1/jobs/{job}/label-set",
        summary="The label set it has made",
        response_class=JSONResponse,
        responses={200: {"model": LabelSetAnswer}},
    )
    async def label_set(request: Request, job: str, query: Nothing) -> Response:  # noqa: ARG001 - it refuses unknown names
        """Counts of the whole; classes and statistics of its first 1,000 images, which are a random sample."""
        return await service.answer(request, job, lambda view: describe_label_set(job, view))

    @router.get(
        "/v1/jobs/{job}/label-set/images",
        summary="Images of its label set with their boxes",
        response_class=JSONResponse,
        responses={200: {"model": LabelledImagesAnswer}},
    )
    async def images(request: Request, job: str, query: Annotated[ImagesQuery, Query()]) -> Response:
        """Images of the sample, in stored order or those to look at first."""
        start = read_start(query.cursor)
        return await service.answer(request, job, lambda view: _describe_page(view, query, start))

    @router.get(
        "/v1/jobs/{job}/label-set/images/{number}",
        summary="One image of its label set",
        response_class=JSONResponse,
        responses={200: {"model": LabelledImageAnswer}},
    )
    async def image(request: Request, job: str, number: Number, query: Nothing) -> Response:  # noqa: ARG001 - it refuses unknown names
        """The image with that number in the sample, with its class activation maps."""
        return await service.answer(request, job, lambda view: _describe_images(view, [number], cams=True)[0])


def _add_files(router: APIRouter, service: LabelSetService) -> None:
    pictures = service.pictures

    @router.get(
        "/v1/jobs/{job}/label-set/images/{number}/file",
        summary="The picture of one image of its label set",
        response_class=Response,
        responses={200: {"content": dict.fromkeys(_TYPES, _BINARY)}},
    )
    async def file(request: Request, job: str, number: Number, query: Annotated[FileQuery, Query()]) -> Response:
        """With `side` a JPEG, upright; else the file as it was labelled."""

        def read(spec: JobSpec) -> bytes:
            if query.side is None:
                return pictures.read_image(spec, number)
            return pictures.draw_image(spec, number, query.side)

        return await service.answer_file(request, job, read)

    @router.get(
        "/v1/jobs/{job}/failures/{number}/file",
        summary="The picture of an image that failed",
        response_class=Response,
        responses={200: {"content": {JPEG: _BINARY}}},
    )
    async def failed(
        request: Request, job: str, number: Number, query: Annotated[FailedFileQuery, Query()]
    ) -> Response:
        """A JPEG, upright, where the image can be decoded at all."""
        return await service.answer_file(request, job, lambda spec: pictures.draw_failed(spec, number, query.side))


def _describe_page(view: SampleView, query: ImagesQuery, start: int) -> dict[str, Any]:
    chosen = view.choose(label=query.label, only_without_box=query.only == "no-box", worst_first=query.order == "worst")
    end = start + query.limit
    return {
        "items": _describe_images(view, chosen[start:end], cams=query.cams),
        "next_cursor": str(end) if end < len(chosen) else None,
        "total": len(chosen),
    }


def _describe_images(view: SampleView, numbers: list[int], *, cams: bool) -> list[dict[str, Any]]:
    sampled = [choose_row(view.rows, number) for number in numbers]
    rows = add_cams(view.label_set, sampled) if cams else [one.row for one in sampled]
    return [
        describe_row(number, row, view.judged.suspicions[number], view.label_set.classes, cams=cams)
        for number, row in zip(numbers, rows, strict=True)
    ]
