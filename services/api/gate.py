"""Round every request: its id, its log line, its time, the headers of the answer, and a problem for what breaks."""

from __future__ import annotations

import logging
import re
import secrets
import time
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.metrics import Metrics
from services.api.problems import ProblemError, problem_response

LOGGER = logging.getLogger("dap.api")
_MAX_HEADER_BYTES = 16 * 2**10
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_GONE = 499
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
}


@dataclass
class _Answer:
    """What went out so far."""

    request_id: str
    status: int = 0
    started_at: float = field(default_factory=time.perf_counter)


class Gate:
    """ASGI middleware, outermost."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, names_request: bool) -> None:
        """Wraps `app`; `names_request` puts the request's id into the answer, where no proxy before it does."""
        self._app, self._metrics, self._names_request = app, metrics, names_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(_choose_request_id(Headers(scope=scope).get("x-request-id")))
        scope.setdefault("state", {})["request_id"] = answer.request_id

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if self._names_request:
                    headers["X-Request-Id"] = answer.request_id
            await send(message)

        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > _MAX_HEADER_BYTES:
                problem = ProblemError("headers-too-large", f"headers have at most {_MAX_HEADER_BYTES:,} bytes in all")
                await problem_response(problem, answer.request_id)(scope, receive, send_marked)
            else:
                await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            answer.status = _CLIENT_GONE
        except Exception:
            LOGGER.exception("request %s broke", answer.request_id)
            if answer.status:
                raise
            problem = ProblemError("internal-error", "an unforeseen error; the log has its cause under the request id")
            await problem_response(problem, answer.request_id)(scope, receive, send_marked)
        finally:
            self._report(scope, answer)

    def _report(self, scope: Scope, answer: _Answer) -> None:
        seconds = time.perf_counter() - answer.started_at
        status = answer.status or _CLIENT_GONE
        route = getattr(scope.get("route"), "path", None) or "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        key = scope["state"].get("key_id", "-")
        LOGGER.info(
            "%s %s %s %d %.1f ms key=%s", answer.request_id, scope["method"], route, status, 1000 * seconds, key
        )


def _choose_request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
