"""One request and its answer, tried again while that makes sense; without doing any input or output itself.

An exchange is a generator: it yields what to send and after how long, and is given the answer or the error of the
transport. `Client` and `AsyncClient` carry that out, each in its way.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

import httpx

from dap_client.errors import (
    AnswerTimeoutError,
    DapClientError,
    UnexpectedAnswerError,
    UnreachableError,
    error_of_problem,
)
from dap_client.parameters import Query
from dap_client.problems import problem_of_answer
from dap_client.retrying import RETRIED_STATUSES, RetryPolicy

T = TypeVar("T")
_FINAL = (httpx.ReadTimeout, httpx.WriteTimeout)  # the service had its time; asking again would only add to its load
_WRONG = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.DecodingError)  # the same every time


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request in the words of `httpx.Client.build_request`; `url` is relative to the service's."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    params: Query | None = None
    content: bytes | None = field(default=None, repr=False)
    files: list[tuple[str, tuple[Any, ...]]] | None = field(default=None, repr=False)

    def build(self, client: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request as `client` sends it."""
        return client.build_request(
            self.method, self.url, headers=self.headers, params=self.params, content=self.content, files=self.files
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: wait, then send."""

    request: Request
    wait_s: float = 0.0


Answer: TypeAlias = httpx.Response | httpx.RequestError
Exchange: TypeAlias = Generator[Step, Answer, T]


def exchange(
    request: Request, policy: RetryPolicy, retried: Collection[int] = RETRIED_STATUSES
) -> Exchange[httpx.Response]:
    """The answer to a request that succeeded, after as many attempts as `policy` allows.

    Raises the error of the problem it was answered with, NoAnswerError when nothing came, and UnexpectedAnswerError
    for a redirect, which is not followed: it would take the key elsewhere.
    """
    wait_s = waited_s = 0.0
    for num_attempts in itertools.count(1):
        answer = yield Step(request, wait_s)
        if isinstance(answer, httpx.Response) and answer.is_success:
            return answer
        planned = None
        if _is_transient(answer, retried):
            planned = policy.plan_wait(num_attempts, waited_s, _read_retry_after(answer), random.random())  # noqa: S311
        if planned is None:
            raise _make_error(answer, num_attempts) from (answer if isinstance(answer, Exception) else None)
        wait_s = planned
        waited_s += planned
    raise AssertionError("counting never ends")


def _is_transient(answer: Answer, retried: Collection[int]) -> bool:
    if isinstance(answer, httpx.Response):
        return answer.status_code in retried
    return not isinstance(answer, _FINAL + _WRONG)


def _read_retry_after(answer: Answer) -> float | None:
    if isinstance(answer, httpx.Response):
        return problem_of_answer(answer, datetime.now(UTC)).retry_after_s
    return None


def _make_error(answer: Answer, num_attempts: int) -> DapClientError:
    url = f"{answer.request.method} {answer.request.url.copy_with(query=None)}"
    tries = f"after {num_attempts} attempts" if num_attempts > 1 else "after one attempt"
    if isinstance(answer, httpx.Response):
        if answer.is_error:
            error = error_of_problem(problem_of_answer(answer, datetime.now(UTC)))
            error.add_note(f"{url}, given up {tries}")
            return error
        place = answer.headers.get("Location", "nowhere")
        return UnexpectedAnswerError(f"{url} was answered with {answer.status_code}, a redirect to {place}")
    reason = str(answer) or type(answer).__name__
    if isinstance(answer, _FINAL):
        return AnswerTimeoutError(f"{url} was not answered in time ({reason}); fewer images, or a larger timeout_s?")
    if isinstance(answer, _WRONG):
        return UnexpectedAnswerError(f"{url}: {reason}")
    return UnreachableError(f"{url}: no connection {tries} ({reason}); does the service run there?")
