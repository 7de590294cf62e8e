"""What starts the runners of jobs, and can tell when they are gone."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dap_core.errors import StoreError
from dap_core.stores import LocalStore, Store
from services.jobs.attempting import AttemptExit
from services.jobs.records import JobRecord

LOG_BYTES, LOG_EVERY_S = 2**20, 10.0
_LINE_CHARS = 300


@dataclass(frozen=True, slots=True)
class RunnerEnd:
    """How a runner ended: its exit code where it has one (negative: minus the signal), and the same for people."""

    code: int | None
    reason: str

    @property
    def is_superseded(self) -> bool:
        """Whether it gave way to another attempt."""
        return self.code == AttemptExit.SUPERSEDED


class Runner(Protocol):
    """A runner that was started, as whoever started it sees it."""

    def poll(self) -> RunnerEnd | None:
        """How it ended, None while it runs; the same on every later call."""
        ...

    def explain_waiting(self) -> str | None:
        """What it waits for before it can begin; None once it runs or has ended. As of the last `poll`."""
        ...

    def owns(self, record: JobRecord) -> bool:
        """Whether a record is of the attempt that it runs."""
        ...

    def stop(self) -> None:
        """Asks it to stop in order; its record then says CANCELLED, without a request to stop."""
        ...

    def kill(self) -> None:
        """Ends it and what it started at once, also when it is suspended; it has ended when this returns."""
        ...


class Launcher(Protocol):
    """Starts runners; each runs the next attempt of one job, as `run_attempt` does."""

    def start(self, job: str, attempt: int) -> Runner:
        """A runner of a job; `attempt` is the number it will most likely have. Raises OSError."""
        ...


class ProcessLauncher:
    """A process of this machine for each attempt, in a session of its own, so that it outlives the one that starts it.

    What it prints goes to `jobs/<id>/logs/<attempt>-<random>.log` in the store: written there as it comes when the
    store is a local folder; else kept in a local folder, and the last MiB put every ten seconds and at the end.
    """

    def __init__(
        self,
        store: Store,
        *,
        log_folder: Path | None = None,
        command: Sequence[str] = (sys.executable, "-m", "services.jobs.attempting"),
        options: Sequence[str] = (),
    ) -> None:
        """The root of the store and the id of the job follow `command`, then `options`.

        `log_folder` is where logs are kept for other stores than local ones; left out, a new temporary folder.
        """
        self._store, self._command, self._options = store, tuple(command), tuple(options)
        self._log_folder = log_folder

    def start(self, job: str, attempt: int) -> Runner:
        """A process that runs the next attempt of a job. Raises OSError when there can be none."""
        name = f"jobs/{job}/logs/{attempt:04d}-{secrets.token_hex(4)}.log"
        log = self._choose_log_root() / name
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [*self._command, self._store.uri, job, *self._options]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - a command of this project
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        return ProcessRunner(process, log, None if isinstance(self._store, LocalStore) else self._store, name)

    def _choose_log_root(self) -> Path:
        if isinstance(self._store, LocalStore):
            return self._store.root
        if self._log_folder is None:
            self._log_folder = Path(tempfile.mkdtemp(prefix="dap-logs-"))
        return self._log_folder


class ProcessRunner:
    """A process that `ProcessLauncher` started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, store: Store | None, log_key: str) -> None:
        """The log is put into `store` under `log_key` at the end, where one is given."""
        self.pid = process.pid
        self._process, self._log, self._store, self._log_key = process, log, store, log_key
        self._end: RunnerEnd | None = None
        self._put_bytes, self._put_due = 0, time.monotonic() + LOG_EVERY_S

    def poll(self) -> RunnerEnd | None:
        """How it ended, None while it runs; what it left behind is ended too."""
        if self._end is None and self._has_ended():
            self._end_group()
            self._end = self._describe(self._process.wait())
            self._put_log()
        elif self._end is None and time.monotonic() >= self._put_due:
            self._put_due = time.monotonic() + LOG_EVERY_S
            self._put_log()
        return self._end

    def explain_waiting(self) -> None:
        """It waits for nothing."""

    def owns(self, record: JobRecord) -> bool:
        """Whether a record names this process."""
        return (record.pid, record.host) == (self.pid, socket.gethostname())

    def stop(self) -> None:
        """Sends SIGTERM."""
        if self.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL to it and its children, and waits."""
        if self.poll() is None:
            self._end_group()
            self._process.wait()
            self.poll()

    def _has_ended(self) -> bool:
        """Whether it has; its id stays taken until somebody waits for it, so that nobody else is killed for it."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _end_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _describe(self, code: int) -> RunnerEnd:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        line = ""
        with suppress(OSError):
            line = read_last_line(_read_tail(self._log))
        return RunnerEnd(code, f"{how}: {line}" if line else how)

    def _put_log(self) -> None:
        if self._store is None:
            return
        with suppress(StoreError, OSError):  # the job goes on without
            size = self._log.stat().st_size
            if size > self._put_bytes:
                self._store.put(self._log_key, _read_tail(self._log))
                self._put_bytes = size


def read_last_line(log: bytes) -> str:
    """The last line of what a runner printed, shortened."""
    lines = log.decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:_LINE_CHARS] if lines else ""


def _read_tail(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        return file.read()
