"""One core for each lane: the thread pools below NumPy, OpenCV and torch stay out of each other's way.

Lanes keep every core busy; a library that starts threads of its own for a small product or resize makes them wait
(BLAS threads spin between calls: with them, mining on two cores ran at three quarters of its speed).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import cv2
import torch
from threadpoolctl import threadpool_limits

_lock = Lock()
_num_inside = 0
_outside: tuple[int, Any] | None = None


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """While inside, BLAS and OpenCV use one thread per caller, in the whole process; may be nested."""
    _enter()
    try:
        yield
    finally:
        _leave()


def use_one_torch_thread() -> None:
    """Keeps torch to the calling thread; other threads are not changed."""
    torch.set_num_threads(1)


def _enter() -> None:
    global _num_inside, _outside
    with _lock:
        if _num_inside == 0:
            _outside = (cv2.getNumThreads(), threadpool_limits(limits=1, user_api="blas"))
            cv2.setNumThreads(1)
        _num_inside += 1


def _leave() -> None:
    global _num_inside, _outside
    with _lock:
        _num_inside -= 1
        if _num_inside == 0 and _outside is not None:
            num_threads, limits = _outside
            cv2.setNumThreads(num_threads)
            limits.restore_original_limits()
            _outside = None
