"""Ending processes that something left behind."""

from __future__ import annotations

from contextlib import suppress

import psutil

_LEAVE_S = 3.0


def end_processes(processes: list[psutil.Process]) -> None:
    """Ends what is left of these: Ray's agents outlive the node that they belong to."""
    _, alive = psutil.wait_procs(processes, timeout=_LEAVE_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=_LEAVE_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
