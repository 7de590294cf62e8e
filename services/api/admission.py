"""How much may be under way: images are accepted up to a limit, and the rest is refused at once."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from services.api.problems import ProblemError

_REMEMBERED = 64
_MAX_RETRY_S = 60


class Admission:
    """Counts the images that are accepted and not yet answered. For one event loop."""

    def __init__(self, limit: int) -> None:
        """At most `limit` images at the same time."""
        self.limit = limit
        self.in_flight = 0
        self._answered_at: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def admit(self, num_images: int) -> Iterator[None]:
        """Counts images while inside. Raises ProblemError `overloaded` when they do not fit."""
        if self.in_flight + num_images > self.limit:
            detail = f"{self.in_flight} images are under way, and at most {self.limit} may be"
            raise ProblemError("overloaded", detail, retry_after_s=self.estimate_wait_s())
        self.in_flight += num_images
        try:
            yield
            self._answered_at.extend([time.monotonic()] * num_images)
        finally:
            self.in_flight -= num_images

    def estimate_wait_s(self) -> int:
        """Whole seconds, 1 to 60, until half of what is under way is answered, by the pace of the last answers."""
        if len(self._answered_at) < 2:
            return 1
        seconds = time.monotonic() - self._answered_at[0]
        wait_s = self.in_flight / 2 * seconds / len(self._answered_at)
        return min(_MAX_RETRY_S, max(1, math.ceil(wait_s)))
