"""The routes of trained models: what jobs have made, from what, and how it was measured."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from dap_core.errors import CheckpointError
from services.api.auth import find_caller
from services.api.documentation import problem_responses
from services.api.job_answers import read_cursor, write_cursor
from services.api.job_service import JobService
from services.api.json_values import EscapedJSONResponse
from services.api.problems import ProblemError
from services.api.queries import Nothing, StrictQuery
from services.jobs.checkpoint_views import CheckpointViews
from services.jobs.records import JobState


class CheckpointsQuery(StrictQuery):
    """Which models to list."""

    kind: Literal["train-classifier", "pretrain", "self-train", "finetune"] | None = Field(
        None, description="Only models of jobs of this kind."
    )
    cursor: str | None = Field(None, max_length=300, description="What the page before gave as next_cursor.")
    limit: int = Field(50, ge=1, le=100, description="Models to return at most.")


class ParentAnswer(BaseModel):
    """What a model was made from: a place, or the name of a network, and the job that made it where one did."""

    role: Literal["labels", "checkpoint", "classifier", "data"]
    place: str
    job: str | None


class ResultAnswer(BaseModel):
    """What a job of kind evaluate measured of the model, on what; COCO's figures."""

    job: str
    data: str
    ap: float | None
    ap50: float | None


class CheckpointItem(BaseModel):
    """A model; of a classifier the architecture is its network, and there is no backbone below it."""

    job: str
    kind: str
    state: JobState
    created: str
    place: str
    architecture: str
    backbone: str | None
    num_classes: int
    classes: list[str]
    step: int
    recipe: str
    class_agnostic: bool
    parents: list[ParentAnswer]
    results: list[ResultAnswer]


class CheckpointsAnswer(BaseModel):
    """A page of models, newest first; `next_cursor` is null on the last one."""

    items: list[CheckpointItem]
    next_cursor: str | None


class CheckpointAnswer(CheckpointItem):
    """One model with all its classes, what its job was asked, and its checkpoint.json."""

    spec: dict[str, Any]
    checkpoint: dict[str, Any]


def make_checkpoints_router(service: JobService) -> APIRouter:
    """`/v1/checkpoints` and what is below it."""
    router = APIRouter(responses=problem_responses(401, 403, 404, 422, 431, 503))
    views = CheckpointViews(service.desk)

    @router.get(
        "/v1/checkpoints",
        summary="Trained models, newest first",
        response_class=JSONResponse,
        responses={200: {"model": CheckpointsAnswer}},
    )
    async def checkpoints(request: Request, query: Annotated[CheckpointsQuery, Query()]) -> Response:
        """Models of jobs of the key that asks, with the first 20 of their classes; a page may have fewer than asked."""
        before = read_cursor(query.cursor)
        items, end = await service.run(views.list_page, find_caller(request), query.kind, before, query.limit)
        return EscapedJSONResponse({"items": items, "next_cursor": write_cursor(end) if end else None})

    @router.get(
        "/v1/checkpoints/{job}",
        summary="One trained model",
        response_class=JSONResponse,
        responses={200: {"model": CheckpointAnswer}},
    )
    async def checkpoint(request: Request, job: str, query: Nothing) -> Response:  # noqa: ARG001 - it refuses unknown names
        """The model that a job has made."""
        try:
            return EscapedJSONResponse(await service.run(views.get, find_caller(request), job))
        except CheckpointError as error:
            raise refuse_model(job, error) from error

    return router


def refuse_model(job: str, error: CheckpointError) -> ProblemError:
    """The problem of a model that is damaged."""
    return ProblemError("not-found", f"the model of job {job} cannot be used: {error}")
