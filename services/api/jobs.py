"""The routes of jobs: submit, list, look at, stop and go on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field

from services.api.auth import find_caller
from services.api.documentation import problem_responses
from services.api.job_answers import JobAnswer, JobListAnswer, JobsAnswer, make_job_response, make_page, read_cursor
from services.api.job_events import EVENT_STREAM
from services.api.job_outputs import make_outputs_router
from services.api.job_requests import describe_body
from services.api.job_service import JobService, answer_submitted
from services.api.label_sets import make_label_sets_router
from services.api.queries import Nothing, StrictQuery
from services.jobs.job_index import JobFilter
from services.jobs.kinds import KINDS
from services.jobs.records import JobState

MAX_WAIT_S = 60.0


def _check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"a kind of job is one of {', '.join(KINDS)}, got {kind[:60]!r}")
    return kind


class JobsQuery(StrictQuery):
    """Which jobs to list."""

    kind: Annotated[str, AfterValidator(_check_kind), Field(json_schema_extra={"enum": list(KINDS)})] | None = Field(
        None, description="Only jobs of this kind."
    )
    state: JobState | None = Field(None, description="Only jobs in this state.")
    cursor: str | None = Field(None, max_length=300, description="What the page before gave as next_cursor.")
    limit: int = Field(50, ge=1, le=200, description="Jobs to return at most.")


class PlanAnswer(BaseModel):
    """What a job would do: the estimate is of kind mine and of training, a refusal is why it would fail."""

    kind: str
    spec: dict[str, Any]
    estimate: dict[str, Any] | None
    warnings: list[str]
    refusal: str | None


class PlansAnswer(BaseModel):
    """The plans of the jobs that were sent, in their order."""

    jobs: list[PlanAnswer]


class WaitQuery(StrictQuery):
    """How long to wait for news."""

    wait: float = Field(
        0.0, ge=0, le=MAX_WAIT_S, description="Seconds to wait until the job has changed from If-None-Match, or ended."
    )


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same request sent again under the same key gives the same job.",
    ),
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The event that was seen last, as attempt.sequence.")
]
_SUBMIT: dict[str, Any] = {
    "response_class": JSONResponse,
    "status_code": 201,
    "responses": {
        **problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 431, 503),
        200: {"model": JobAnswer | JobListAnswer, "description": "The jobs were there before."},
        201: {"model": JobAnswer | JobListAnswer},
    },
}


def make_jobs_router(service: JobService) -> APIRouter:
    """`/v1/jobs` and what is below each job."""
    router = APIRouter(responses=problem_responses(401, 403, 404, 422, 431, 503))
    _add_submitting(router, service)
    _add_reading(router, service)
    _add_events(router, service)
    _add_verbs(router, service)
    router.include_router(make_outputs_router(service))
    router.include_router(make_label_sets_router(service))
    return router


def _add_submitting(router: APIRouter, service: JobService) -> None:
    @router.post("/v1/jobs", summary="Submit", openapi_extra={"requestBody": describe_body()}, **_SUBMIT)
    async def submit(request: Request, query: Nothing, idempotency_key: IdempotencyKey = None) -> Response:  # noqa: ARG001 - it refuses unknown names
        """One job, or a list in which later jobs name earlier ones: `{"job": 0}` stands for where job 0 writes."""
        return await service.submit(request, idempotency_key)

    @router.post(
        "/v1/jobs:plan",
        summary="What jobs would do",
        openapi_extra={"requestBody": describe_body()},
        responses=problem_responses(400, 408, 409, 413, 415),
    )
    async def plan(request: Request, query: Nothing) -> PlansAnswer:  # noqa: ARG001 - it refuses unknown names
        """Checks them as for `POST /v1/jobs`, and lists the sources of those of kind mine; nothing is written."""
        return PlansAnswer.model_validate({"jobs": await service.plan(request)})


def _add_reading(router: APIRouter, service: JobService) -> None:
    @router.get("/v1/jobs", summary="List, newest first")
    async def list_jobs(request: Request, query: Annotated[JobsQuery, Query()]) -> JobsAnswer:
        """Jobs of the key that asks, as of the last seconds."""
        wanted = JobFilter(kind=query.kind, state=query.state, before=read_cursor(query.cursor), limit=query.limit + 1)
        return make_page(await service.run(service.desk.list_jobs, find_caller(request), wanted), query.limit)

    @router.get(
        "/v1/jobs/{job}",
        summary="One job",
        response_class=JSONResponse,
        responses={200: {"model": JobAnswer}, 304: {"description": "It is as If-None-Match has it."}},
    )
    async def job(request: Request, job: str, query: Annotated[WaitQuery, Query()]) -> Response:
        """Where it stands; with `wait`, once there is news."""
        return await service.answer_job(request, job, query.wait)


def _add_events(router: APIRouter, service: JobService) -> None:
    @router.get(
        "/v1/jobs/{job}/events",
        summary="What happens, as server-sent events",
        response_class=Response,
        responses={
            200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
            204: {"description": "The job has ended, and there is nothing after Last-Event-ID."},
        },
    )
    async def events(request: Request, job: str, query: Nothing, last_event_id: LastEventId = None) -> Response:  # noqa: ARG001 - for the document
        """Events after Last-Event-ID as they come, until the job ends; cut at any place, it goes on there."""
        return await service.stream_events(request, job)


def _add_verbs(router: APIRouter, service: JobService) -> None:
    options: dict[str, Any] = {
        "response_class": JSONResponse,
        "status_code": 202,
        "responses": {**problem_responses(409), 202: {"model": JobAnswer}},
    }

    @router.post("/v1/jobs/{job}/cancel", summary="Stop", **options)
    async def cancel(request: Request, job: str, query: Nothing) -> Response:  # noqa: ARG001 - it refuses unknown names
        """Asks it to stop, in ten seconds or so; what it has committed stays, and it can be resumed."""
        return make_job_response(await service.run(service.desk.cancel, find_caller(request), job), 202)

    @router.post("/v1/jobs/{job}/resume", summary="Go on", **options)
    async def resume(request: Request, job: str, query: Nothing) -> Response:  # noqa: ARG001 - it refuses unknown names
        """Another attempt of a job that failed or was cancelled, which goes on where the last one ended."""
        return make_job_response(await service.run(service.desk.resume, find_caller(request), job), 202)

    @router.post("/v1/jobs/{job}/retry-failed", summary="Label failed images again", **_SUBMIT)
    async def retry_failed(
        request: Request,
        job: str,
        query: Nothing,  # noqa: ARG001 - it refuses unknown names
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """A new job that labels the images again that failed in one of kind mine."""
        caller = find_caller(request)
        submitted = await service.run(service.desk.retry_failed, caller, job, idempotency_key)
        return answer_submitted(submitted, is_list=False)
