"""A service on this machine, from start to clean end: in one process, or with its labelers on a Ray of its own."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from dap_core.errors import DestinationError
from services.keys import KeyRing, list_keys
from services.ray_session import connect_ray
from services.settings import ServiceSettings
from services.storage import open_store

if TYPE_CHECKING:
    from services.labeling import Labeling

APP_NAME = "dap"
_RAY_ENVIRONMENT = {
    "RAY_worker_niceness": "0",  # at Ray's 15, whatever else runs on the machine goes before the labelers
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",  # nothing of ours blocks a loop, and hops between loops cost
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",  # straight to the replica, 6 ms less an image than calls of actors
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
}


def check_exposure(settings: ServiceSettings) -> None:
    """Raises DestinationError when others could reach the service and there is no key that could keep them out."""
    if not settings.is_loopback and not any(key.revoked_at is None for key in list_keys(open_store(settings.store))):
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


def run_in_process(settings: ServiceSettings, on_ready: Callable[[], None]) -> None:
    """Serves with one labeler in this process until a signal comes; `on_ready` when it answers.

    Raises DestinationError when the port is taken.
    """
    from services.labeling import LabelerPool, make_labeler

    with _bind(settings) as listener:
        pool = LabelerPool(make_labeler(settings))
        try:
            _answer(pool, settings, listener, on_ready)
        finally:
            pool.close()


def run_on_ray(settings: ServiceSettings, on_ready: Callable[[], None]) -> None:
    """Serves with labelers on a Ray started for them until a signal comes; `on_ready` when it answers.

    This process is the ingress: on one machine a proxy of Serve's before it would only cost. Raises DestinationError
    when the port is taken.
    """
    with _bind(settings) as listener:
        for name, value in _RAY_ENVIRONMENT.items():
            os.environ.setdefault(name, value)  # before the import, which reads them
        from ray import serve

        from services.serve_app import ReplicatedLabeling, bind_labelers

        settings = share_cores(settings)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        with connect_ray():
            try:
                serve.start(proxy_location="Disabled")
                labelers = serve.run(bind_labelers(settings), name=APP_NAME, route_prefix=None)
                _answer(ReplicatedLabeling(labelers), settings, listener, on_ready)
            finally:
                serve.shutdown()  # type: ignore[no-untyped-call]


def _bind(settings: ServiceSettings) -> socket.socket:
    """The socket to listen on, taken before anything slow begins."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        address = f"{settings.host}:{settings.port}"
        raise DestinationError(f"cannot listen on {address}: {error.strerror}; choose another port") from error
    return listener


def _answer(
    labeling: Labeling, settings: ServiceSettings, listener: socket.socket, on_ready: Callable[[], None]
) -> None:
    """Answers requests until a signal comes, then those that are under way."""
    import uvicorn

    from services.api.app import SERVER_OPTIONS, create_app
    from services.detecting import ChildDetecting
    from services.jobs.job_desk import open_desk
    from services.running_jobs import running_jobs

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.stop_waiting()
            await super().shutdown(sockets)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    keys = KeyRing(open_store(settings.store), required=not settings.is_loopback)
    desk = open_desk(settings)
    desk.warm_up()
    detecting = ChildDetecting(answer_s=settings.deadline_s, device=settings.device)
    app = create_app(labeling, keys=keys, settings=settings, jobs=desk, detecting=detecting)
    server = Server(uvicorn.Config(app, **SERVER_OPTIONS))
    for number in (signal.SIGINT, signal.SIGTERM):  # for when the server hands a signal on that has ended it
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    with closing(detecting), running_jobs(settings):
        server.run(sockets=[listener])
