"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], object], within_s: float = 20.0, *, every_s: float = 0.01) -> None:
    """Asks again and again until it is so; raises AssertionError when it is not in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"it was not so within {within_s:g} s"
        time.sleep(every_s)
