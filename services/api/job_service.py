"""What stands behind the routes of jobs: the desk, asked in threads of its own, and waiting for a job to change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from dap_core.errors import StoreRefusedError, StoreUnavailableError
from services.api.auth import find_caller
from services.api.bodies import read_json_body
from services.api.job_answers import is_match, make_etag, make_job_response
from services.api.job_events import EVENT_STREAM, HEARTBEAT, HEARTBEAT_S, RETRY, read_event_id, write_event
from services.api.job_requests import read_drafts
from services.api.json_values import EscapedJSONResponse
from services.api.problems import ProblemError
from services.jobs.events import Event
from services.jobs.job_desk import Draft, JobDesk, Submitted
from services.jobs.job_plans import plan_job
from services.jobs.job_views import JobView
from services.jobs.ownership import Caller
from services.jobs.paces import find_pace

T = TypeVar("T")
_THREADS = 16
_RETRY_S = 5
_POLL_S, _POLL_REMOTE_S = 0.25, 1.0


@dataclass(slots=True)
class JobService:
    """The jobs of a service. Work on the store never takes the threads that images are answered in."""

    desk: JobDesk
    body_timeout_s: float = 30.0
    is_stopping: bool = False
    """Whether those who wait are to be sent away, as the service ends."""
    _threads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_THREADS))

    @property
    def poll_s(self) -> float:
        """Seconds between two looks at a job that is watched."""
        return _POLL_REMOTE_S if self.desk.store.num_parallel_reads else _POLL_S

    def stop(self) -> None:
        """Ends all waiting and all streams soon."""
        self.is_stopping = True

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """What `work` gives. Raises ProblemError when the store does not answer."""
        with answering_for_store():
            return await run_sync(partial(work, *args), limiter=self._threads, abandon_on_cancel=True)

    async def read_drafts(self, request: Request) -> tuple[list[Draft], bool]:
        """The jobs that a request holds, and whether it is a list. Raises ProblemError."""
        caller = find_caller(request)
        values = await read_json_body(request, self.body_timeout_s)
        drafts = await self.run(read_drafts, values, lambda job: self.desk.get(caller, job).spec)
        return drafts, isinstance(values, list)

    async def submit(self, request: Request, idempotency_key: str | None) -> Response:
        """Stores the jobs of a request."""
        drafts, is_list = await self.read_drafts(request)
        submitted = await self.run(self.desk.submit, find_caller(request), drafts, idempotency_key)
        return answer_submitted(submitted, is_list=is_list)

    async def plan(self, request: Request) -> list[dict[str, Any]]:
        """What the jobs of a request would do. Raises ProblemError for what is refused at once."""
        drafts, _ = await self.read_drafts(request)
        self.desk.check(drafts)
        return [await self.run(self._plan, find_caller(request), draft) for draft in drafts]

    def _plan(self, caller: Caller, draft: Draft) -> dict[str, Any]:
        plan = plan_job(draft.spec)
        pace = find_pace(self.desk, caller, draft.spec) if plan["estimate"] else None
        if pace is not None:
            seconds = round(pace.estimate_s(plan["estimate"]["images"]), 1)
            plan["estimate"] |= {"seconds": seconds, "time_source": pace.describe()}
        return plan

    async def answer_job(self, request: Request, job: str, wait_s: float) -> Response:
        """A job, as soon as it has changed from what If-None-Match names, or else has ended."""
        known = request.headers.get("if-none-match")
        deadline = time.monotonic() + wait_s
        while True:
            view: JobView = await self.run(self.desk.get, find_caller(request), job)
            is_same = known is not None and is_match(known, make_etag(view))
            is_news = not is_same if known is not None else view.has_ended
            if is_news or self.is_stopping or time.monotonic() >= deadline:
                break
            await asyncio.sleep(min(self.poll_s, max(0.0, deadline - time.monotonic())))
        if is_same:
            return Response(status_code=304, headers={"ETag": make_etag(view)})
        return make_job_response(view)

    async def stream_events(self, request: Request, job: str) -> Response:
        """What happens in a job, after Last-Event-ID; 204, which ends a watch, when there is nothing more to come."""
        caller, after = find_caller(request), read_event_id(request.headers.get("last-event-id"))
        view = await self.run(self.desk.get, caller, job)
        events = await self.run(self.desk.read_events, job, after)
        if view.has_ended and not events:
            return Response(status_code=204)
        return StreamingResponse(
            self._watch(caller, view, events, after), media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"}
        )

    async def _watch(self, caller: Caller, view: JobView, events: list[Event], after: str) -> AsyncIterator[bytes]:
        """Events as they come, until those of a job that has ended are out. The record is read before the events."""
        yield RETRY
        said_at = time.monotonic()
        while True:
            for event in events:
                after, said_at = event.id, time.monotonic()
                yield write_event(event)
            if view.has_ended or self.is_stopping:
                return
            if time.monotonic() - said_at > HEARTBEAT_S:
                said_at = time.monotonic()
                yield HEARTBEAT
            await asyncio.sleep(self.poll_s)
            view = await self.run(self.desk.get, caller, view.id)
            events = await self.run(self.desk.read_events, view.id, after)


@contextmanager
def answering_for_store() -> Iterator[None]:
    """Raises ProblemError when the store does not answer inside."""
    try:
        yield
    except (StoreUnavailableError, StoreRefusedError) as error:
        detail = "the object store of this service does not answer, or refuses"
        raise ProblemError("store-unavailable", detail, retry_after_s=_RETRY_S) from error


def answer_submitted(submitted: Submitted, *, is_list: bool) -> Response:
    """201 for jobs that are new, 200 for those that were there."""
    headers = {"Idempotent-Replayed": "true"} if submitted.is_replay else {}
    status = 200 if submitted.is_replay else 201
    if is_list:
        return EscapedJSONResponse({"jobs": [one.to_json() for one in submitted.jobs]}, status, headers)
    [view] = submitted.jobs
    return make_job_response(view, status, {"Location": f"/v1/jobs/{view.id}", **headers})
