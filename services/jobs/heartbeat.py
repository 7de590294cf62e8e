"""The record of a running attempt: written again and again, until it ends or somebody else takes over."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from dataclasses import replace
from types import TracebackType
from typing import Any

from dap_core.errors import StoreError
from services.jobs.context import JobContext, format_now
from services.jobs.job_store import Attempt
from services.jobs.records import JobRecord, JobState

HEARTBEAT_S = 5.0
_INTERRUPT = signal.SIGUSR2  # not SIGINT, which is ignored in what a script starts in the background
_LOG = logging.getLogger(__name__)


class Heart:
    """Writes the record of an attempt every few seconds while inside, and tells the job to stop when it has to.

    A job in the main thread that does not stop by itself soon after is interrupted (KeyboardInterrupt).
    """

    def __init__(self, attempt: Attempt, context: JobContext, interval_s: float) -> None:
        self._attempt, self._context, self._interval_s = attempt, context, interval_s
        now = format_now()
        self._record = JobRecord(
            job=attempt.job,
            attempt=attempt.number,
            state=JobState.RUNNING,
            started=now,
            updated=now,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self._ended = threading.Event()
        self._is_superseded = False
        self._runner = threading.current_thread()
        self._is_main = self._runner is threading.main_thread()
        self._handler_before: Any = None
        self._thread = threading.Thread(target=self._beat, name="dap-heartbeat", daemon=True)

    def __enter__(self) -> Heart:
        """Writes the first record. Raises StoreError."""
        self._context.add_event("state", state=JobState.RUNNING)
        self._attempt.write(self._record)
        if self._is_main:
            self._handler_before = signal.signal(_INTERRUPT, signal.default_int_handler)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._is_main:
            signal.signal(_INTERRUPT, self._handler_before)

    def end(
        self,
        state: JobState,
        *,
        message: str | None = None,
        error_type: str | None = None,
        result: dict[str, Any] | None = None,
    ) -> JobRecord:
        """Writes the last record, unless another attempt has taken over, and returns it."""
        self._ended.set()
        self._thread.join()
        self._context.add_event("state", state=state, message=message)
        record = self._make_record()
        record = replace(
            record, state=state, ended=record.updated, message=message, error_type=error_type, result=result
        )
        if not self._is_superseded:
            self._write(record)
        return record

    def _beat(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self._look()
            except StoreError as error:
                _LOG.warning("the record of job %s could not be written: %s", self._attempt.job, error)
            if self._context.stop_reason:
                self._interrupt()
                return

    def _look(self) -> None:
        if self._attempt.is_superseded():
            self._is_superseded = True
            self._context.stop("another attempt has taken the job over")
        elif self._attempt.is_cancelled():
            self._context.stop("it was asked to stop")
        else:
            self._attempt.write(self._make_record())

    def _interrupt(self) -> None:
        if not self._ended.wait(self._context.grace_s) and self._is_main and self._runner.ident:
            signal.pthread_kill(self._runner.ident, _INTERRUPT)

    def _write(self, record: JobRecord) -> None:
        try:
            if not self._attempt.is_superseded():  # this process may have slept since it last looked
                self._attempt.write(record)
        except StoreError as error:
            self._context.warn(f"the last record of job {record.job} could not be written: {error}")

    def _make_record(self) -> JobRecord:
        context = self._context
        return replace(
            self._record,
            updated=format_now(),
            stage=context.stage,
            progress=context.progress.read(),
            warnings=tuple(context.warnings),
        )
