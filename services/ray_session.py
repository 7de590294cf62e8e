"""A connection to Ray: a cluster's, or a Ray of one's own on this machine that ends with it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from dap_core.errors import InputError
from services.settings import read_node_address

_LEAVE_S = 3.0


@contextmanager
def connect_ray(address: str | None = None, *, num_cpus: int | None = None) -> Iterator[None]:
    """Ray while inside; without an address one of its own, which takes the machine for one of `num_cpus` cores.

    Raises InputError when none answers at the address.
    """
    import ray

    place: dict[str, Any] = {"address": "local", "include_dashboard": False, "num_cpus": num_cpus}
    if address:
        place = {"address": address, "_node_ip_address": read_node_address()}
    try:
        with _keeping_handler(signal.SIGTERM):
            ray.init(**place, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError) as error:
        raise InputError(f"no Ray answers at {address}: {error}") from error
    try:
        yield
    finally:
        children = psutil.Process().children(recursive=True) if address is None else []
        ray.shutdown()
        _end_processes([one for one in children if _is_of_ray(one)])


@contextmanager
def _keeping_handler(number: signal.Signals) -> Iterator[None]:
    """Ray takes signals for crashes and prints a trace; what was to be done about one before is done again."""
    before = signal.getsignal(number)
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(number, before)


def _is_of_ray(process: psutil.Process) -> bool:
    """Whether a program of Ray's package runs in it, or a worker of Ray, and not one that only knows where Ray is."""
    import ray

    package = str(Path(ray.__file__).parent)
    try:
        return any(part.startswith((package, "ray::")) for part in process.cmdline())
    except psutil.Error:
        return False


def _end_processes(processes: list[psutil.Process]) -> None:
    """Ends what is left of these: Ray's agents outlive the node that they belong to."""
    _, alive = psutil.wait_procs(processes, timeout=_LEAVE_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=_LEAVE_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
