"""A real service in a process of its own, on the loopback address, for tests of every client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_S = 90.0
RAY_ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_LOG_TO_STDERR": "0"}


@dataclass(frozen=True)
class RunningService:
    """Where it answers, its process, and the file with what it printed."""

    url: str
    pid: int
    log: Path


def find_free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def run_service(folder: Path, *options: str, ray: bool = False, ready: bool = True) -> Iterator[RunningService]:
    """`dap serve` with a store in `folder`, from the moment it is ready until it has ended by SIGTERM.

    Without Ray unless told otherwise. Raises AssertionError with its log when it does not come up or end.
    """
    port = find_free_port()
    service = folder / "service.log"
    command = [sys.executable, "-m", "clients.cli.main", "serve", "--port", str(port), "--store", str(folder / "store")]
    command += ([] if ray else ["--no-ray"]) + list(options)
    environment = {**os.environ, **RAY_ENVIRONMENT}
    with service.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    running = RunningService(f"http://127.0.0.1:{port}", process.pid, service)
    try:
        _wait_until_ready(running, process, "/readyz" if ready else "/healthz")
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"the service did not end on SIGTERM:\n{service.read_text()[-4000:]}") from None


def _wait_until_ready(running: RunningService, process: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the service ended at once:\n{running.log.read_text()[-4000:]}"
        try:
            if httpx.get(running.url + path, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the service was not ready after {START_S} s:\n{running.log.read_text()[-4000:]}")
