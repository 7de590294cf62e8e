"""What each method of jobs asks, and what it makes of the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from dap_client.answers import read_answer
from dap_client.exchanges import Exchange, Request, exchange
from dap_client.retrying import RetryPolicy

_JOBS = "/v1/jobs"
_JSON = "application/json"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Spec: TypeAlias = Mapping[str, Any]
Values: TypeAlias = dict[str, Any]
Page: TypeAlias = tuple[list[Values], str | None]
"""Items, and the cursor of the next page."""


def submit(specs: Spec | Sequence[Spec], key: str, policy: RetryPolicy) -> Exchange[list[Values]]:
    """The jobs of a spec, or of a list of them; sent again under the same key, they are the same jobs."""
    body = json.dumps(specs if isinstance(specs, Mapping) else list(specs), allow_nan=False)
    headers = {"Accept": _JSON, "Content-Type": _JSON, "Idempotency-Key": key}
    answer = yield from exchange(Request("POST", _JOBS, headers=headers, content=body.encode()), policy)
    return read_answer(answer, lambda values: values["jobs"] if "jobs" in values else [_read_job(values)])


def get_job(job: str, policy: RetryPolicy, wait_s: float = 0.0) -> Exchange[Values]:
    """A job; with `wait_s`, as soon as it has ended, or after that time."""
    params = {"wait": f"{wait_s:g}"} if wait_s else {}
    answer = yield from exchange(_get(make_path(job), **params), policy)
    return read_answer(answer, _read_job)


def list_page(policy: RetryPolicy, **params: str | None) -> Exchange[Page]:
    """A page of jobs, and the cursor of the next one."""
    return (yield from _get_page(_JOBS, policy, **params))


def list_items(job: str, what: str, policy: RetryPolicy, **params: str | None) -> Exchange[Page]:
    """A page of what a job has made, and the cursor of the next one."""
    return (yield from _get_page(make_path(job, what), policy, **params))


def read_logs(job: str, policy: RetryPolicy) -> Exchange[str]:
    """What a job printed."""
    answer = yield from exchange(_get(make_path(job, "logs")), policy)
    return answer.text


def ask(job: str, verb: str, policy: RetryPolicy, key: str | None = None) -> Exchange[Values]:
    """The job after a verb."""
    headers = {"Accept": _JSON, **({} if key is None else {"Idempotency-Key": key})}
    answer = yield from exchange(Request("POST", make_path(job, verb), headers=headers), policy)
    return read_answer(answer, _read_job)


def make_path(job: str, *rest: str) -> str:
    """The address of a job. Raises ValueError for what is no id."""
    if not _ID.fullmatch(job):
        raise ValueError(f"an id of a job is up to 100 letters, digits, '.', '_' or '-', got {job!r}")
    return "/".join((_JOBS, job, *rest))


def _get_page(url: str, policy: RetryPolicy, **params: str | None) -> Exchange[Page]:
    given = {name: value for name, value in params.items() if value is not None}
    answer = yield from exchange(_get(url, **given), policy)
    return read_answer(answer, lambda values: (list(values["items"]), values["next_cursor"]))


def _read_job(values: Any) -> Values:
    return {**values, "id": str(values["id"]), "state": str(values["state"])}


def _get(url: str, **params: str) -> Request:
    return Request("GET", url, headers={"Accept": _JSON}, params=tuple(params.items()))
