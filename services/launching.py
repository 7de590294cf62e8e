"""A server in a process of its own on the loopback address: started, waited for, and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from dap_core.errors import DapError

START_S, END_S = 120.0, 60.0
_ASK_EVERY_S, _ASK_TIMEOUT_S = 0.2, 5.0


class ServerError(DapError):
    """A server did not start or did not end; the message holds the end of its log."""

    error_type = "server-failed"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server answers, its process, and the file with what it prints."""

    url: str
    pid: int
    log: Path


def serve_command(*options: str) -> list[str]:
    """The command that starts our service with these options of `dap serve`."""
    return [sys.executable, "-m", "clients.cli.main", "serve", "--port", "{port}", *options]


@contextmanager
def run_server(
    command: Sequence[str],
    log: Path,
    *,
    ready_path: str = "/readyz",
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningServer]:
    """The server of `command`, whose `{port}` is a free one, from when it is ready until it has ended on SIGTERM.

    What it prints goes to the file `log`. `environment` is added to that of this process. Raises ServerError when it
    ends before it is ready, is not ready in two minutes, or does not end in one (then it is killed).
    """
    port = _find_free_port()
    started = [part.replace("{port}", str(port)) for part in command]
    merged = {**os.environ, **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(started, stdout=output, stderr=output, env=merged, start_new_session=True)  # noqa: S603 - commands of this project
    server = RunningServer(f"http://127.0.0.1:{port}", process.pid, log)
    try:
        _wait_until_ready(server, process, ready_path)
        yield server
    finally:
        _end(server, process)


def _find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_ready(server: RunningServer, process: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"the server ended at once, with {process.returncode}:\n{_read_end(server.log)}")
        try:
            if httpx.get(server.url + path, timeout=_ASK_TIMEOUT_S).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(_ASK_EVERY_S)
    raise ServerError(f"the server was not ready after {START_S:g} s:\n{_read_end(server.log)}")


def _end(server: RunningServer, process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        raise ServerError(f"the server did not end on SIGTERM:\n{_read_end(server.log)}") from None
    finally:
        with suppress(ProcessLookupError):  # what it leaves behind goes too
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read_end(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]
