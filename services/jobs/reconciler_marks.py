"""Marks that reconcilers leave in the store: what time it is there, and which of several is the one that acts.

reconciler/marks/<when it began>-<random>      put again at every look
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from dap_core.errors import StoreError
from dap_core.stores import Store

_PREFIX = "reconciler/marks/"
_FORGET_AFTER = 10


@dataclass(frozen=True, slots=True)
class Moment:
    """A look at the store; times are seconds since 1970 by the clock that dates its objects."""

    now: float
    since: float
    """From when on heartbeats are to be expected: before, the store was out of reach or this machine slept."""
    is_leader: bool
    """Whether no reconciler that began earlier is at work."""


class ReconcilerMark:
    """The mark of one reconciler. Of several the one that began first acts; after a gap it stands behind the others."""

    def __init__(self, store: Store, lease_s: float) -> None:
        """A mark older than `lease_s` is of one that is gone."""
        self._store, self._lease_s = store, lease_s
        self._key = _make_key()
        self._last: float | None = None
        self._since = float("-inf")

    def look(self) -> Moment:
        """The moment by the clock of the store. Raises StoreError."""
        self._store.put(self._key, b"")
        marks = {info.key: info.modified for info in self._store.list_objects(_PREFIX)}
        now = marks.setdefault(self._key, max(marks.values(), default=0.0))
        if self._last is not None and now - self._last > self._lease_s:
            self._since = now
            self._begin_anew()
        self._last = now
        alive = [key for key, modified in marks.items() if modified >= now - self._lease_s]
        self._forget([key for key, modified in marks.items() if modified < now - _FORGET_AFTER * self._lease_s])
        return Moment(now, self._since, is_leader=all(key >= self._key for key in alive))

    def remove(self) -> None:
        """Takes the mark away, so that another one need not wait. Raises StoreError."""
        self._store.delete(self._key)

    def _begin_anew(self) -> None:
        self._forget([self._key])
        self._key = _make_key()
        self._store.put(self._key, b"")

    def _forget(self, keys: list[str]) -> None:
        try:
            for key in keys:
                self._store.delete(key)
        except StoreError:  # old marks only make the listing longer
            return


def _make_key() -> str:
    return f"{_PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
