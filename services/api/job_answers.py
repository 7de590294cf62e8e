"""Jobs as JSON values in answers, and their shapes for the OpenAPI document."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from pydantic import BaseModel

from services.api.json_values import EscapedJSONResponse
from services.api.problems import ProblemError
from services.jobs.index_snapshot import IndexedJob
from services.jobs.job_views import JobView
from services.jobs.records import JobState


class JobSummary(BaseModel):
    """One line of a list of jobs."""

    id: str
    kind: str
    state: JobState
    created: str
    attempt: int


class JobsAnswer(BaseModel):
    """A page of jobs, newest first; `next_cursor` is null on the last one."""

    items: list[JobSummary]
    next_cursor: str | None


class ProgressAnswer(BaseModel):
    """How far a job is, in images and in parts, which are shards or steps."""

    total: int
    done: int
    failed: int
    failures_by_type: dict[str, int]
    parts: int
    parts_done: int
    part_name: str
    per_s: float | None
    eta_s: float | None
    metrics: dict[str, float]


class JobAnswer(JobSummary):
    """One job; `reason` says why a queued one waits, `after` names the jobs it waits for."""

    reason: str | None
    cancel_requested: bool
    stalled: bool
    after: list[str]
    started: str | None
    updated: str | None
    ended: str | None
    stage: str | None
    progress: ProgressAnswer
    error_type: str | None
    message: str | None
    warnings: list[str]
    result: dict[str, Any] | None
    spec: dict[str, Any]


class JobListAnswer(BaseModel):
    """The jobs of a list that was sent, in its order."""

    jobs: list[JobAnswer]


def make_job_response(view: JobView, status: int = 200, headers: dict[str, str] | None = None) -> EscapedJSONResponse:
    """The answer of one job, with its ETag."""
    return EscapedJSONResponse(view.to_json(), status, {"ETag": make_etag(view), **(headers or {})})


def make_etag(view: JobView) -> str:
    """A strong ETag: it changes with anything that the answer says."""
    text = json.dumps(view.to_json(), sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def is_match(header: str | None, etag: str) -> bool:
    """Whether a header If-None-Match names the ETag."""
    named = [one.strip().removeprefix("W/") for one in (header or "").split(",")]
    return etag in named or named == ["*"]


def make_page(jobs: list[IndexedJob], limit: int) -> JobsAnswer:
    """The first `limit` of jobs, with a cursor when there are more."""
    shown = jobs[:limit]
    items = [
        JobSummary(id=one.id, kind=one.kind, state=one.state, created=one.created, attempt=one.attempt) for one in shown
    ]
    return JobsAnswer(items=items, next_cursor=write_cursor(shown[-1].position) if len(jobs) > limit else None)


def write_cursor(position: tuple[str, str]) -> str:
    """A place in the order of jobs, as callers send it back."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> tuple[str, str] | None:
    """The place that a cursor stands for. Raises ProblemError for one that was not given by us."""
    if cursor is None:
        return None
    try:
        created, job = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        if isinstance(created, str) and isinstance(job, str):
            return created, job
    except (binascii.Error, TypeError, ValueError):
        pass
    detail = "a cursor is what the page before gave as next_cursor"
    raise ProblemError("invalid-parameter", detail, errors=[("#/query/cursor", detail)])
