"""Decoding a few batches ahead in worker processes, in order; what is decoded is read in this one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from dap_core.errors import DapError, WorkerCrashError

E = TypeVar("E")
D = TypeVar("D")
_AHEAD_PER_WORKER = 4
_WORKER_DIED = "DataLoader worker (pid"


def decode_ahead(encoded: Iterable[E], decode: Callable[[E], D], *, num_workers: int) -> Iterator[D]:
    """What `decode` makes of each encoded batch, in order, by `num_workers` processes (0: this one).

    `decode` goes to the processes by pickle. Raises what it raises, and WorkerCrashError when a process dies.
    """
    loader = DataLoader(
        _Decoder(decode),
        batch_size=None,
        sampler=_Once(encoded),  # its items reach the workers as they are
        num_workers=num_workers,
        prefetch_factor=_AHEAD_PER_WORKER if num_workers else None,
        multiprocessing_context="spawn" if num_workers else None,
        worker_init_fn=_start_worker if num_workers else None,
    )
    try:
        for decoded in _start(loader):
            if isinstance(decoded, DapError):
                raise decoded
            yield decoded
    except RuntimeError as error:
        if not str(error).startswith(_WORKER_DIED):
            raise
        raise WorkerCrashError(
            f"a process that decodes images died ({error}); see how much memory is left, or decode in fewer processes"
        ) from error


def _start(loader: DataLoader[D | DapError]) -> Iterator[D | DapError]:
    """Starts the processes. torch's handler of SIGCHLD is not left behind: it hears of every child of this process."""
    if threading.current_thread() is not threading.main_thread():
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    started = iter(loader)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)
    return started


class _Decoder(Dataset["D | DapError"], Generic[E, D]):
    """What the workers run; its keys are the encoded batches. Errors of ours come as values, so they stay whole."""

    def __init__(self, decode: Callable[[E], D]) -> None:
        self._decode = decode

    def __getitem__(self, encoded: E) -> D | DapError:
        try:
            return self._decode(encoded)
        except DapError as error:
            return error


class _Once(Iterable[E]):
    """An iterable for a loader that asks once and for no length."""

    def __init__(self, items: Iterable[E]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[E]:
        return iter(self._items)


def _start_worker(_number: int) -> None:
    """One thread in each worker, as processes share the cores; interrupts are for the process that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
