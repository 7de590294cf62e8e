"""One core for each lane: the thread pools below NumPy, OpenCV and torch stay out of each other's way.

Lanes keep every core busy; a library that starts threads of its own for a small product or resize makes them wait
(BLAS threads spin between calls: with them, mining on two cores ran at three quarters of its speed).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import cv2
import torch
from threadpoolctl import threadpool_limits

_lock = Lock()
_num_inside = 0
_outside: tuple[int, Any] | None = None
_keeper = ThreadPoolExecutor(1, thread_name_prefix="dap-keeper")
"""Sets all limits: OpenBLAS is controlled by the first thread that limits it, and the calls of others do nothing."""


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """While inside, BLAS and OpenCV use one thread per caller, in the whole process; may be nested."""
    _enter()
    try:
        yield
    finally:
        _leave()


@contextmanager
def computing_with(num_threads: int) -> Iterator[None]:
    """While inside, torch computes with so many threads, in the whole process."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_one_torch_thread() -> None:
    """Keeps torch to the calling thread; other threads are not changed."""
    torch.set_num_threads(1)


def _enter() -> None:
    global _num_inside
    with _lock:
        if _num_inside == 0:
            _keeper.submit(_limit).result()
        _num_inside += 1


def _leave() -> None:
    global _num_inside
    with _lock:
        _num_inside -= 1
        if _num_inside == 0:
            with suppress(RuntimeError):  # at the end of the interpreter, when nothing is left to restore for
                _keeper.submit(_restore).result()


def _limit() -> None:
    global _outside
    limits = threadpool_limits(limits=1, user_api="blas")
    limits.__enter__()
    _outside = (cv2.getNumThreads(), limits)
    cv2.setNumThreads(1)


def _restore() -> None:
    global _outside
    assert _outside is not None
    num_threads, limits = _outside
    _outside = None
    cv2.setNumThreads(num_threads)
    limits.__exit__(None, None, None)
