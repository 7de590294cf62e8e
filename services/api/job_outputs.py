"""The routes of what a job has made: failures, samples, figures, logs, objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from services.api.auth import find_caller
from services.api.job_events import read_event_id
from services.api.job_service import JobService
from services.api.queries import Nothing, StrictQuery, read_start
from services.jobs.job_outputs import Items, list_artifacts, list_failures, list_metrics, list_samples, read_logs

_LOG_TYPE = "text/plain; charset=utf-8"


class PageQuery(StrictQuery):
    """Which part of a long list."""

    cursor: str | None = Field(None, max_length=40, description="What the page before gave as next_cursor.")
    limit: int = Field(100, ge=1, le=1000, description="Items to return at most.")


class SamplesQuery(StrictQuery):
    """How many samples."""

    limit: int = Field(20, ge=1, le=100, description="Images to return at most.")


class ItemsAnswer(BaseModel):
    """A part of a long list; `next_cursor` is null at its end."""

    items: list[dict[str, Any]]
    next_cursor: str | None


_Page = Annotated[PageQuery, Query()]


def make_outputs_router(service: JobService) -> APIRouter:
    """What lies below `/v1/jobs/{job}`."""
    router = APIRouter()

    @router.get("/v1/jobs/{job}/failures", summary="Images that failed")
    async def failures(request: Request, job: str, query: _Page) -> ItemsAnswer:
        """Number, key, type of error and message of each, once the label set has a manifest."""
        return await _answer_page(service, request, job, query, list_failures)

    @router.get("/v1/jobs/{job}/artifacts", summary="Objects it has written")
    async def artifacts(request: Request, job: str, query: _Page) -> ItemsAnswer:
        """What lies in its outputs, with sizes in bytes."""
        return await _answer_page(service, request, job, query, list_artifacts)

    @router.get("/v1/jobs/{job}/samples", summary="Images with their boxes")
    async def samples(request: Request, job: str, query: Annotated[SamplesQuery, Query()]) -> ItemsAnswer:
        """The first images of a job of kind mine, which are a random sample; empty of other kinds."""
        view = await service.run(service.desk.get, find_caller(request), job)
        return ItemsAnswer(items=await service.run(list_samples, view.spec, query.limit), next_cursor=None)

    @router.get("/v1/jobs/{job}/metrics", summary="Figures of training")
    async def metrics(request: Request, job: str, query: _Page) -> ItemsAnswer:
        """Loss, learning rate and times, every few seconds of a training."""
        after = read_event_id(query.cursor)
        await service.run(service.desk.get, find_caller(request), job)
        items = await service.run(list_metrics, service.desk.store, job, after, query.limit)
        return ItemsAnswer(items=items, next_cursor=items[-1]["id"] if len(items) == query.limit else None)

    @router.get("/v1/jobs/{job}/logs", summary="What it printed", response_class=Response)
    async def logs(request: Request, job: str, query: Nothing) -> Response:  # noqa: ARG001 - it refuses unknown names
        """The output of its attempts, of each the last 256 KiB."""
        await service.run(service.desk.get, find_caller(request), job)
        pieces = await service.run(lambda: list(read_logs(service.desk.store, job)))
        return Response(b"".join(pieces), media_type=_LOG_TYPE)

    return router


async def _answer_page(
    service: JobService, request: Request, job: str, query: PageQuery, read: Callable[[Any, int, int], Items]
) -> ItemsAnswer:
    start = read_start(query.cursor)
    view = await service.run(service.desk.get, find_caller(request), job)
    items = await service.run(read, view.spec, start, query.limit + 1)
    has_more = len(items) > query.limit
    return ItemsAnswer(items=items[: query.limit], next_cursor=str(start + query.limit) if has_more else None)
