"""How much may be under way: images and bytes are accepted up to a limit, and the rest is refused at once."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.api.problems import ProblemError

_REMEMBERED = 64
_MAX_RETRY_S = 60


class Admission:
    """Counts the images that are accepted and not yet answered, and the bytes held for requests. For one event loop."""

    def __init__(self, limit: int, max_bytes: int) -> None:
        """At most `limit` images and `max_bytes` of bodies at the same time."""
        self.limit, self._max_bytes = limit, max_bytes
        self.in_flight = 0
        self._num_bytes = 0
        self._busy_s, self._busy_since = 0.0, 0.0
        self._answered_at: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def admit(self, num_images: int) -> Iterator[None]:
        """Counts images while inside. Raises ProblemError `overloaded` when they do not fit."""
        self.check_room(num_images)
        if self.in_flight == 0:
            self._busy_since = time.monotonic()
        self.in_flight += num_images
        try:
            yield
            self._answered_at.extend([self._busy_now()] * num_images)
        finally:
            self.in_flight -= num_images
            if self.in_flight == 0:
                self._busy_s += time.monotonic() - self._busy_since

    def check_room(self, num_images: int) -> None:
        """Raises ProblemError `overloaded` when so many more do not fit."""
        if self.in_flight + num_images > self.limit:
            detail = f"{self.in_flight} images are under way, and at most {self.limit} may be"
            raise ProblemError("overloaded", detail, retry_after_s=self.estimate_wait_s())

    @contextmanager
    def hold_bytes(self) -> Iterator[Callable[[int], None]]:
        """A function that counts bytes until the end; it raises ProblemError `overloaded` when they do not fit."""
        held = 0

        def count(num_bytes: int) -> None:
            nonlocal held
            if self._num_bytes + num_bytes > self._max_bytes:
                detail = f"requests of {self._num_bytes:,} bytes are under way, and at most {self._max_bytes:,} may be"
                raise ProblemError("overloaded", detail, retry_after_s=self.estimate_wait_s())
            held += num_bytes
            self._num_bytes += num_bytes

        try:
            yield count
        finally:
            self._num_bytes -= held

    def estimate_wait_s(self) -> int:
        """Whole seconds, 1 to 60, until half of what is under way is answered, by the pace of the last answers."""
        if len(self._answered_at) < 2:
            return 1
        seconds = self._busy_now() - self._answered_at[0]
        wait_s = self.in_flight / 2 * seconds / len(self._answered_at)
        return min(_MAX_RETRY_S, max(1, math.ceil(wait_s)))

    def _busy_now(self) -> float:
        """Seconds so far in which there was something to do: a pause says nothing about the pace."""
        return self._busy_s + (time.monotonic() - self._busy_since if self.in_flight else 0.0)
