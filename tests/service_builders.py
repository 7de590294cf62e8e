"""A real service in a process of its own, on the loopback address, for tests of every client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.launching import RunningServer as RunningService
from services.launching import run_server, serve_command

RAY_ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_LOG_TO_STDERR": "0"}

__all__ = ["RunningService", "run_service"]


@contextmanager
def run_service(folder: Path, *options: str, ray: bool = False) -> Iterator[RunningService]:
    """`dap serve` with a store in `folder`, from when it is ready until it has ended; without Ray unless asked for."""
    command = serve_command("--store", str(folder / "store"), *([] if ray else ["--no-ray"]), *options)
    with run_server(command, folder / "service.log", environment=RAY_ENVIRONMENT) as running:
        yield running
