"""Round every request: its id, its log line, its time, the headers of the answer, and a problem for what breaks."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.bodies import MAX_BODY_BYTES
from services.api.metrics import Metrics
from services.api.problems import UNFORESEEN, ProblemError, problem_response

LOGGER = logging.getLogger("dap.api")
_MAX_HEAD_BYTES = 16 * 2**10
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
class _Exchange:
    """One request and what went out for it so far."""

    scope: Scope
    receive_raw: Receive
    send_raw: Send
    names_request: bool
    request_id: str = ""
    route: str = ""
    status: int = 0
    has_whole_body: bool = False
    started_at: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.request_id = _choose_request_id(Headers(scope=self.scope).get("x-request-id"))
        self.scope.setdefault("state", {})["request_id"] = self.request_id

    async def receive(self) -> Message:
        """What comes in."""
        message = await self.receive_raw()
        if message["type"] == "http.request":
            self.has_whole_body = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Lets it out, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            if self.names_request:
                headers["X-Request-Id"] = self.request_id
            if not self.has_whole_body and _must_close(self.scope, self.status):
                headers["Connection"] = "close"
        await self.send_raw(message)

    async def refuse(self, problem: ProblemError) -> None:
        """Answers with a problem."""
        await problem_response(problem, self.request_id)(self.scope, self.receive, self.send)


class Gate:
    """ASGI middleware, outermost."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        names_request: bool,
        check_room: Mapping[tuple[str, str], Callable[[], None]],
    ) -> None:
        """Wraps `app`; `names_request` puts the request's id into the answer, where no proxy before it does.

        `check_room` holds, by method and path, functions that raise ProblemError while there is no room for one more:
        under overload most requests end so, and what a refusal costs is taken from those that are answered.
        """
        self._app, self._metrics, self._names_request = app, metrics, names_request
        self._check_room = check_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._names_request)
        try:
            self._check(exchange)
            await self._app(scope, exchange.receive, exchange.send)
        except ProblemError as problem:
            await exchange.refuse(problem)
        except ClientDisconnect:
            exchange.status = _CLIENT_GONE
        except Exception:
            LOGGER.exception("request %s broke", exchange.request_id)
            if exchange.status:
                raise
            await exchange.refuse(ProblemError("internal-error", UNFORESEEN))
        finally:
            self._report(scope, exchange)

    def _check(self, exchange: _Exchange) -> None:
        """What can be said of a request before it is taken apart. Raises ProblemError."""
        scope = exchange.scope
        if _measure_head(scope) > _MAX_HEAD_BYTES:
            detail = f"address and headers have at most {_MAX_HEAD_BYTES:,} bytes in all"
            raise ProblemError("headers-too-large", detail)
        if check := self._check_room.get((scope["method"], scope["path"])):
            exchange.route = scope["path"]
            check()

    def _report(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started_at
        status = exchange.status or _CLIENT_GONE
        route = exchange.route or getattr(scope.get("route"), "path", None) or "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.count_request(route, method, status, seconds)
        key = scope["state"].get("key_id", "-")
        LOGGER.info("%s %s %s %d %.1f ms key=%s", exchange.request_id, method, route, status, 1000 * seconds, key)


def _measure_head(scope: Scope) -> int:
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    return size + sum(len(name) + len(value) for name, value in scope["headers"])


def _must_close(scope: Scope, status: int) -> bool:
    """Whether what is left of a body would keep the connection busy for longer than it is worth."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    is_long = "transfer-encoding" in headers or not length.isdecimal() or int(length) > MAX_BODY_BYTES
    return is_long or status == HTTPStatus.REQUEST_TIMEOUT


def _choose_request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
