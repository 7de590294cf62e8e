"""The service on Ray Serve: an ingress that answers HTTP and a pool of labelers behind it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.config import AutoscalingConfig
from ray.serve.exceptions import DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from services.api.app import create_app
from services.detecting import ChildDetecting
from services.jobs.job_desk import open_desk
from services.jobs.ray_launcher import THIS_CLUSTER
from services.keys import KeyRing
from services.labeling import LabelerPool, LabelRequest, ModelInfo, NotReadyError, Reply, make_labeler
from services.ray_metrics import BatchMetrics, JobMetrics, RayMetrics
from services.running_jobs import running_jobs
from services.settings import ServiceSettings, read_settings
from services.storage import open_store

_ATTEMPTS = 2
_DESCRIBE_TIMEOUT_S = 1.0
_QUEUED_PER_LANE, _QUEUED_ON_GPU = 2, 96
"""Images under way at each labeler above which another one is started, where their number may grow."""
_INGRESS_ROOM = 10_000
_HEALTH: dict[str, Any] = {"health_check_period_s": 2.0, "health_check_timeout_s": 30.0}


class PseudoLabelerReplica:
    """One labeler in a process of its own."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Loads the model and runs it once; only then does the replica count as ready."""
        self._pool = LabelerPool(make_labeler(settings), BatchMetrics().note)

    async def label(self, request: LabelRequest) -> Reply:
        """Boxes of one image, or why there are none."""
        return await self._pool.label(request)

    async def describe(self) -> ModelInfo:
        """What runs."""
        return await self._pool.describe()

    def check_health(self) -> None:
        """Raises RuntimeError when a lane has died; Serve then replaces the replica."""
        if not self._pool.is_healthy:
            raise RuntimeError("a lane of the labeler has died")


class ReplicatedLabeling:
    """The pool of replicas as the API asks it: a replica that dies is not noticed, another one is asked once more."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        """Asks the deployment behind `handle`."""
        self._handle = handle
        self._model: ModelInfo | None = None

    async def label(self, request: LabelRequest) -> Reply:
        """The reply of a replica; cancelling reaches it. Raises NotReadyError when two in turn were lost."""
        for _ in range(_ATTEMPTS):
            response = self._handle.label.remote(request)
            try:
                reply: Reply = await response
                return reply
            except asyncio.CancelledError:
                response.cancel()  # type: ignore[no-untyped-call]
                raise
            except (RayActorError, DeploymentUnavailableError):
                continue
        raise NotReadyError("the labelers that were asked are gone")

    async def describe(self) -> ModelInfo:
        """What runs; asked once. Raises NotReadyError while no replica is ready."""
        if self._model is None:
            response = self._handle.describe.remote()
            try:
                self._model = await asyncio.wait_for(response, _DESCRIBE_TIMEOUT_S)
            except (TimeoutError, RayActorError, DeploymentUnavailableError):
                response.cancel()  # type: ignore[no-untyped-call]
                raise NotReadyError("the model is loading") from None
        assert self._model is not None
        return self._model


@serve.ingress()
class Ingress:
    """Answers HTTP; needs no core of its own to be placed."""

    def __init__(
        self, settings: ServiceSettings, labelers: DeploymentHandle[Any], _jobs: DeploymentHandle[Any]
    ) -> None:
        self._settings, self._labelers = settings, labelers
        self._detecting = ChildDetecting(answer_s=settings.deadline_s, device=settings.device)

    def __del__(self) -> None:
        """Ends the process that runs detectors."""
        self._detecting.close()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application, made in the replica."""
        settings = self._settings
        keys = KeyRing(open_store(settings.store), required=not settings.is_loopback)
        labeling, jobs = ReplicatedLabeling(self._labelers), open_desk(settings)
        jobs.warm_up()
        return create_app(
            labeling,
            keys=keys,
            settings=settings,
            jobs=jobs,
            detecting=self._detecting,
            metrics=RayMetrics(),
            behind_proxy=True,
        )


class JobsReplica:
    """Looks after the jobs of the store; when it dies, they go on, and Serve starts another one."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Begins at once."""
        self._running = ExitStack()
        self._thread = self._running.enter_context(running_jobs(settings, JobMetrics().note))

    def check_health(self) -> None:
        """Raises RuntimeError when nothing looks after the jobs any more."""
        if self._thread and not self._thread.is_alive():  # there is none where no jobs are to run
            raise RuntimeError("nothing looks after the jobs")

    def __del__(self) -> None:
        """Leaves the jobs to the next one."""
        self._running.close()


def bind_labelers(settings: ServiceSettings) -> serve.Application:
    """The pool of labelers, without an ingress."""
    cpus = settings.cpus_per_replica
    lanes = max(1, round(cpus or 1))
    gpus = settings.gpus_per_replica or 0
    scaling = None
    if settings.max_replicas is not None:
        scaling = AutoscalingConfig(
            min_replicas=settings.num_replicas,
            max_replicas=settings.max_replicas,
            target_ongoing_requests=_QUEUED_ON_GPU if gpus else _QUEUED_PER_LANE * lanes,
        )
    labelers: Any = serve.deployment(
        PseudoLabelerReplica,
        name="PseudoLabeler",
        num_replicas=None if scaling else settings.num_replicas,
        autoscaling_config=scaling,
        ray_actor_options={"num_cpus": cpus if cpus is not None else 1, "num_gpus": gpus},
        max_ongoing_requests=settings.max_in_flight,  # all: a full replica has its callers ask again and again
        **_HEALTH,
    )
    application: serve.Application = labelers.bind(settings)
    return application


def build_app(args: dict[str, Any]) -> serve.Application:
    """The ingress before the labelers, and what runs jobs; in a Serve config file `services.serve_app:build_app`.

    `args` are settings; what they leave out is taken from the `DAP_*` variables of the node that builds it. Jobs run on
    the cluster unless told otherwise. Raises InputError naming a setting that is wrong or unknown.
    """
    settings = read_settings(**{"ray_address": THIS_CLUSTER, **args})
    ingress: Any = serve.deployment(
        Ingress,
        name="Ingress",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=_INGRESS_ROOM,
        max_surge_percent=100,
        **_HEALTH,
    )
    jobs: Any = serve.deployment(JobsReplica, name="Jobs", ray_actor_options={"num_cpus": 0}, **_HEALTH)
    application: serve.Application = ingress.bind(settings, bind_labelers(settings), jobs.bind(settings))
    return application
