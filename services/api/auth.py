"""Who may ask: the API key of a request and what it allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from services.api.problems import ProblemError
from services.jobs.ownership import Caller
from services.keys import ApiKey, KeyRing

LOCAL = Caller("local", sees_all=True)
"""Who asks where no key is needed."""


def require_scope(keys: KeyRing, scope: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets requests pass whose key has `scope`, or all while no key is required.

    Raises ProblemError: `unauthenticated`, the same for every reason, or `forbidden`.
    """

    async def check(request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if kind.lower() == "bearer" else None

        def look() -> tuple[bool, ApiKey | None]:
            return keys.is_required, keys.check(given)

        is_required, key = look() if keys.is_fresh else await run_in_threadpool(look)
        if not is_required:
            return
        if key is None:
            raise ProblemError("unauthenticated", "send a valid key: Authorization: Bearer dap_…")
        request.state.key, request.state.key_id = key, key.id
        if not key.allows(scope):
            raise ProblemError("forbidden", f"the key lacks the scope {scope}")

    return check


def find_caller(request: Request) -> Caller:
    """Whose jobs a request is about, after `require_scope` has let it pass; `admin` sees those of others, too."""
    key: ApiKey | None = getattr(request.state, "key", None)
    return LOCAL if key is None else Caller(key.id, sees_all=key.allows("admin"))
