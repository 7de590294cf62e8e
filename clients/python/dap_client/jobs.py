"""Jobs of a service: submitted, waited for, watched over cut connections, stopped and resumed."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, overload

import httpx

from dap_client import job_calls
from dap_client.errors import UnexpectedAnswerError, UnreachableError, error_of_problem
from dap_client.event_streams import JobEvent, read_stream
from dap_client.exchanges import Exchange
from dap_client.job_calls import Spec, Values
from dap_client.problems import problem_of_answer
from dap_client.retrying import RETRIED_STATUSES, RetryPolicy

T = TypeVar("T")
ENDED = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED"})
"""States after which nothing more comes of a job, unless it is asked for."""
_WAIT_S = 20.0
_SILENCE_S = 40.0
"""The service says something every ten seconds; a stream that is silent for longer is cut."""

_PAUSE_S = 0.05

Progress = bool | Callable[["Job"], None]


class _NothingMoreError(Exception):
    """The job has ended, and all its events were read."""


class Connection:
    """What the methods of jobs share with the client."""

    def __init__(self, http: httpx.Client, policy: RetryPolicy, run: Callable[[Exchange[Any]], Any]) -> None:
        """`run` carries an exchange out."""
        self.http, self.policy, self._run = http, policy, run

    def run(self, exchange: Exchange[T]) -> T:
        """What a call returns."""
        value: T = self._run(exchange)
        return value


class Job:
    """One job as it was last seen; `values` is the answer of `GET /v1/jobs/{id}`."""

    def __init__(self, connection: Connection, values: Values) -> None:
        self._connection, self.values = connection, values

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.values["id"])

    @property
    def state(self) -> str:
        """QUEUED, RUNNING, SUCCEEDED, PARTIALLY_SUCCEEDED, FAILED or CANCELLED."""
        return str(self.values["state"])

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it, unless it is asked for."""
        return self.state in ENDED

    @property
    def result(self) -> Mapping[str, Any] | None:
        """What it made, once it has succeeded."""
        return self.values.get("result")

    def refresh(self) -> Job:
        """The same job, looked at again."""
        return self._take(job_calls.get_job(self.id, self._connection.policy))

    def wait(self, *, timeout_s: float | None = None, progress: Progress = False) -> Job:
        """The same job once it has ended; in which way, `state` says.

        `progress` prints a line on stderr when something has changed, or is called with the job. Raises TimeoutError
        when it has not ended after `timeout_s`; the job goes on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        tell = _print_line if progress is True else progress or None
        shown: Any = None
        while True:
            left = _WAIT_S if deadline is None else max(0.0, min(_WAIT_S, deadline - time.monotonic()))
            self._take(job_calls.get_job(self.id, self._connection.policy, min(left, 2.0) if tell else left))
            now = (self.state, self.values.get("stage"), self.values.get("progress"))
            if tell and now != shown:
                shown = now
                tell(self)
            if self.has_ended:
                return self
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"job {self.id} is {self.state} after {timeout_s:g} s; it goes on")

    def events(self, after: str | None = None) -> Iterator[JobEvent]:
        """What happens, after the event of that id, as it comes, until the job ends; over cut connections, too.

        Raises UnreachableError when there is no connection for as long as the client tries.
        """
        failures = 0
        waited_s = 0.0
        while True:
            try:
                for event in self._read_once(after):
                    after, failures, waited_s = event.id, 0, 0.0
                    yield event
            except httpx.TransportError as error:
                failures += 1
                wait_s = self._connection.policy.plan_wait(failures, waited_s, None, 0.5)
                if wait_s is None:
                    raise UnreachableError(f"the events of job {self.id}: {error or type(error).__name__}") from error
                waited_s += wait_s
                time.sleep(wait_s)
            except _NothingMoreError:
                return
            else:
                time.sleep(_PAUSE_S)

    def failures(self) -> Iterator[Values]:
        """The images that failed: number, key, error_type, message."""
        return self._list("failures")

    def artifacts(self) -> Iterator[Values]:
        """The objects in its outputs: output, place, size in bytes."""
        return self._list("artifacts")

    def samples(self, limit: int = 20) -> list[Values]:
        """Images of a job of kind mine, with their boxes."""
        return self._connection.run(
            job_calls.list_items(self.id, "samples", self._connection.policy, limit=str(limit))
        )[0]

    def metrics(self) -> Iterator[Values]:
        """Figures of training, in order."""
        return self._list("metrics")

    def logs(self) -> str:
        """What its attempts printed."""
        return self._connection.run(job_calls.read_logs(self.id, self._connection.policy))

    def cancel(self) -> Job:
        """The same job, asked to stop. Raises WrongState when it has ended."""
        return self._take(job_calls.ask(self.id, "cancel", self._connection.policy))

    def resume(self) -> Job:
        """The same job, with another attempt asked for. Raises WrongState for one that runs or has succeeded."""
        return self._take(job_calls.ask(self.id, "resume", self._connection.policy))

    def retry_failed(self, *, idempotency_key: str | None = None) -> Job:
        """A new job that labels the images again that failed."""
        key = idempotency_key or _make_key()
        asked = job_calls.ask(self.id, "retry-failed", self._connection.policy, key)
        return Job(self._connection, self._connection.run(asked))

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.state})"

    def _take(self, exchange: Exchange[Values]) -> Job:
        self.values = self._connection.run(exchange)
        return self

    def _list(self, what: str) -> Iterator[Values]:
        cursor: str | None = None
        while True:
            items, cursor = self._connection.run(
                job_calls.list_items(self.id, what, self._connection.policy, limit="1000", cursor=cursor)
            )
            yield from items
            if cursor is None:
                return

    def _read_once(self, after: str | None) -> Iterator[JobEvent]:
        """The events of one connection. Raises httpx.TransportError when it breaks, _NothingMoreError at the end."""
        headers = {"Accept": "text/event-stream", **({} if after is None else {"Last-Event-ID": after})}
        timeout = httpx.Timeout(_SILENCE_S, connect=10.0)
        path = job_calls.make_path(self.id, "events")
        with self._connection.http.stream("GET", path, headers=headers, timeout=timeout) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                raise _NothingMoreError
            if not answer.is_success:
                answer.read()
                raise _make_error(answer)
            try:
                yield from read_stream(answer.iter_lines())
            except ValueError as error:
                raise UnexpectedAnswerError(f"the events of job {self.id}: {error}") from error


class Jobs:
    """The jobs of a service that the key may see: `client.jobs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @overload
    def submit(self, spec: Spec, *, idempotency_key: str | None = None) -> Job: ...

    @overload
    def submit(self, spec: Sequence[Spec], *, idempotency_key: str | None = None) -> list[Job]: ...

    def submit(self, spec: Spec | Sequence[Spec], *, idempotency_key: str | None = None) -> Job | list[Job]:
        """The job of a spec, or those of a list in which `{"job": 0}` stands for where job 0 writes.

        Sent again under the same key, they are the same jobs; without one, a request that is tried again has one.
        Raises InvalidRequest for what is refused, such as OutputInUse.
        """
        asked = job_calls.submit(spec, idempotency_key or _make_key(), self._connection.policy)
        jobs = [Job(self._connection, values) for values in self._connection.run(asked)]
        return jobs[0] if isinstance(spec, Mapping) else jobs

    def get(self, job: str) -> Job:
        """A job by its id. Raises NotFound."""
        return Job(self._connection, self._connection.run(job_calls.get_job(job, self._connection.policy)))

    def list(self, *, kind: str | None = None, state: str | None = None) -> Iterator[Values]:
        """Jobs, newest first: id, kind, state, created, attempt."""
        cursor: str | None = None
        while True:
            page = job_calls.list_page(self._connection.policy, kind=kind, state=state, cursor=cursor, limit="200")
            items, cursor = self._connection.run(page)
            yield from items
            if cursor is None:
                return


def _make_error(answer: httpx.Response) -> Exception:
    if answer.status_code in RETRIED_STATUSES:
        return httpx.ReadError(f"answered with {answer.status_code}", request=answer.request)
    return error_of_problem(problem_of_answer(answer, datetime.now(UTC)))


def _make_key() -> str:
    return secrets.token_hex(16)


def _print_line(job: Job) -> None:
    counts = job.values.get("progress") or {}
    done = f"{counts.get('done', 0):,} of {counts['total']:,} images" if counts.get("total") else ""
    parts = (job.state, job.values.get("reason"), job.values.get("stage"), done)
    sys.stderr.write(f"{job.id}: {', '.join(str(one) for one in parts if one)}\n")
