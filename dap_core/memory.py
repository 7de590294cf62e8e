"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def release_memory() -> None:
    """Gives back what is free, of Arrow's pool and of the C library's heaps.

    Both keep it for themselves otherwise: after a shard, buffers of one stay beside those of the next, and the heap of
    each thread that read images stays as large as it ever was.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others have none
        if trim:
            trim(0)
