"""Problems (RFC 9457) as values: what the service says went wrong, with one image or with a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

_MAX_EXCERPT = 200
_LONGEST_S = 1e9  # as good as never, and still a number to compute with


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong place of a request: a JSON pointer, and what is wrong there."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in the fields of `application/problem+json`.

    `type` is `/problems/<slug>`, or `about:blank` for an error that is not the service's own (a proxy's, for example).
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
    retryable: bool = False
    retry_after_s: float | None = None
    errors: tuple[Fault, ...] = ()

    @property
    def slug(self) -> str:
        """The last part of the type, such as `truncated-image`."""
        return self.type.rstrip("/").rpartition("/")[2]

    def to_json(self) -> dict[str, Any]:
        """The fields that are known, as JSON values."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}

    def __str__(self) -> str:
        places = "".join(f"; {fault.pointer}: {fault.detail}" for fault in self.errors if fault.detail != self.detail)
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.status} {self.slug}: {self.detail or self.title}{places}{request}"


def read_problem(values: Mapping[str, Any]) -> Problem:
    """The problem of a JSON object; fields that are missing or of another type are left empty."""
    errors = values.get("errors")
    faults = [one for one in errors if isinstance(one, Mapping)] if isinstance(errors, list) else []
    instance, request_id = values.get("instance"), values.get("request_id")
    return Problem(
        type=str(values.get("type") or "about:blank"),
        title=str(values.get("title") or ""),
        status=values["status"] if isinstance(values.get("status"), int) else 0,
        detail=str(values.get("detail") or ""),
        instance=None if instance is None else str(instance),
        request_id=None if request_id is None else str(request_id),
        retryable=values.get("retryable") is True,
        retry_after_s=_read_seconds(values.get("retry_after_s")),
        errors=tuple(Fault(str(one.get("pointer", "")), str(one.get("detail", ""))) for one in faults),
    )


def problem_of_answer(response: httpx.Response, now: datetime) -> Problem:
    """The problem of an error answer, also of one that is no problem+json.

    Its status is that of the answer, and its `retry_after_s` that of the header `Retry-After`, where there is one.
    """
    values = _read_object(response)
    header = parse_retry_after(response.headers.get("Retry-After"), now)
    common = {
        "status": response.status_code,
        "request_id": values.get("request_id") or response.headers.get("X-Request-Id"),
        "retry_after_s": values.get("retry_after_s") if header is None else header,
    }
    if "type" in values:
        return read_problem({**values, **common})
    excerpt = " ".join(response.text.split())[:_MAX_EXCERPT]
    return read_problem({"title": response.reason_phrase, "detail": excerpt or response.reason_phrase, **common})


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait of a header `Retry-After`, a number or a date; None when there is none that can be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return _read_seconds(float(value))
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    return max(0.0, (moment - now).total_seconds())


def _read_seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(min(value, _LONGEST_S)) if is_number and value >= 0 else None


def _read_object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        values = response.json()
    except ValueError:
        return {}
    return values if isinstance(values, Mapping) else {}
