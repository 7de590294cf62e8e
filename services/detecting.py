"""What the service asks of trained detectors, and a child process of this machine that runs them.

The process begins with the first request, and it alone imports torch for this.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeAlias

from dap_core.types import FailedImage, PredictedImage
from services.detector_process import PROCESS_NAME, Step, serve_detectors

Detection: TypeAlias = PredictedImage | FailedImage
_ATTEMPTS = 2
_START_S, _LOAD_S, _END_S = 300.0, 300.0, 5.0


@dataclass(frozen=True, slots=True)
class DetectRequest:
    """One encoded image, and the detector that is to look at it."""

    data: bytes = field(repr=False)
    place: str
    """Where the detector is stored."""
    description_sha256: str
    """Of the `checkpoint.json` there: one that is written anew is another detector."""


class DetectorLostError(Exception):
    """No detector can be asked at the moment; the caller should try again."""


class Detecting(Protocol):
    """Detectors that many callers ask at the same time."""

    async def detect(self, request: DetectRequest) -> Detection:
        """What is found in an image, or why it cannot be looked at. Cancelling takes it out of the queue.

        Raises DetectorLostError, ObjectChangedError when another detector is in the place by now, CheckpointError for
        one that is damaged, StoreError.
        """
        ...

    def close(self) -> None:
        """Ends what runs."""
        ...


@dataclass(frozen=True, slots=True)
class _Child:
    process: BaseProcess
    pipe: Connection

    def end(self) -> None:
        """Kills it, as what it may be at is of no use to anybody."""
        self.process.kill()
        self.process.join(_END_S)
        self.pipe.close()


class ChildDetecting:
    """Detectors in a child process, one image at a time; a child that dies, or does not answer, is replaced."""

    def __init__(self, *, answer_s: float, device: str | None = None) -> None:
        """Starts nothing yet. An image may take `answer_s` seconds; `device` left out is a GPU if there is one."""
        self._answer_s, self._device = answer_s, device
        self._child: _Child | None = None
        self._changing = threading.Lock()
        self._closed = False
        self._queue = ThreadPoolExecutor(1, thread_name_prefix="dap-detector")

    async def detect(self, request: DetectRequest) -> Detection:
        """The answer of the child, awaited."""
        return await asyncio.wrap_future(self._queue.submit(self._detect, request))

    def close(self) -> None:
        """Ends the child whatever it is at, and drops what waits; does nothing a second time."""
        with self._changing:
            self._closed, child, self._child = True, self._child, None
        if child:
            child.process.kill()
        self._queue.shutdown(cancel_futures=True)
        if child:
            child.end()

    def _detect(self, request: DetectRequest) -> Detection:
        for _ in range(_ATTEMPTS):
            try:
                answer = self._ask(request)
            except (EOFError, OSError):  # it died
                self._drop_child()
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer
        raise DetectorLostError("the process that runs detectors died more than once")

    def _ask(self, request: DetectRequest) -> Detection | Exception:
        """What the child sends in the end. Raises EOFError, OSError when it dies, DetectorLostError when it hangs."""
        pipe, limit_s = self._find_pipe()
        pipe.send((request.place, request.description_sha256, request.data))
        while pipe.poll(limit_s):
            answer: Step | Detection | Exception = pipe.recv()
            if not isinstance(answer, Step):
                return answer
            limit_s = _LOAD_S if answer is Step.LOADING else self._answer_s
        self._drop_child()
        raise DetectorLostError(f"the process that runs detectors was silent for {limit_s:g} s and was ended")

    def _find_pipe(self) -> tuple[Connection, float]:
        """The pipe of a child that lives, and seconds until its first sign; a new one has libraries to import."""
        if self._child and self._child.process.is_alive():
            return self._child.pipe, self._answer_s
        self._drop_child()
        with self._changing:
            if self._closed:
                raise DetectorLostError("the service is ending")
            self._child = _start(self._device)
            return self._child.pipe, _START_S

    def _drop_child(self) -> None:
        with self._changing:
            child, self._child = self._child, None
        if child:
            child.end()


def _start(device: str | None) -> _Child:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_detectors, args=(theirs, device), name=PROCESS_NAME, daemon=True)
    process.start()
    theirs.close()
    return _Child(process, ours)
