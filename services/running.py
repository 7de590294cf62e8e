"""A service on this machine, from start to clean end: in one process, or on a Ray of its own."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import psutil

from dap_core.errors import DestinationError
from dap_core.stores import LocalStore
from services.keys import KeyRing, list_keys
from services.settings import ServiceSettings

APP_NAME = "dap"
_RAY_ENVIRONMENT = {
    "RAY_worker_niceness": "0",  # at Ray's 15, whatever else runs on the machine goes before the labelers
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",  # nothing of ours blocks a loop, and hops between loops cost
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
_LEAVE_S = 3.0


def check_exposure(settings: ServiceSettings) -> None:
    """Raises DestinationError when others could reach the service and there is no key that could keep them out."""
    if not settings.is_loopback and not any(key.revoked_at is None for key in list_keys(LocalStore(settings.store))):
        raise DestinationError(
            f"{settings.host} can be reached from elsewhere and the store {settings.store} holds no key; "
            f"make one with: dap keys create NAME --scope label --store {settings.store}"
        )


def share_cores(settings: ServiceSettings) -> ServiceSettings:
    """The settings with the cores of this machine, and its GPUs, shared among the replicas where nothing is said."""
    import torch

    changes: dict[str, float] = {}
    if settings.gpus_per_replica is None:
        changes["gpus_per_replica"] = 1 if torch.cuda.is_available() and settings.device != "cpu" else 0
    if settings.cpus_per_replica is None:
        cores = len(os.sched_getaffinity(0))
        changes["cpus_per_replica"] = max(1, cores // (settings.max_replicas or settings.num_replicas))
    return settings.model_copy(update=changes)


def run_in_process(settings: ServiceSettings) -> None:
    """Serves with uvicorn and one labeler in this process until a signal comes."""
    import uvicorn

    from services.api.app import SERVER_OPTIONS, create_app
    from services.labeling import LabelerPool, make_labeler

    keys = KeyRing(LocalStore(settings.store), required=not settings.is_loopback)
    pool = LabelerPool(make_labeler(settings))
    try:
        app = create_app(pool, keys=keys, settings=settings)
        uvicorn.run(app, host=settings.host, port=settings.port, **SERVER_OPTIONS)
    finally:
        pool.close()


def run_on_ray(settings: ServiceSettings, on_ready: Callable[[], None]) -> None:
    """Serves on a Ray started for it, on the loopback address, until a signal comes; `on_ready` when it answers."""
    import ray
    from ray import serve

    from services.serve_app import build_app

    settings = share_cores(settings)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    stop = threading.Event()
    for name, value in _RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        serve.start(http_options={"host": settings.host, "port": settings.port})
        serve.run(build_app(settings), name=APP_NAME, route_prefix="/")
        for number in (signal.SIGINT, signal.SIGTERM):  # only now: Ray sets its own when it starts
            signal.signal(number, lambda *_: stop.set())
        on_ready()
        stop.wait()
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        children = psutil.Process().children(recursive=True)
        ray.shutdown()
        _end_processes(children)


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
