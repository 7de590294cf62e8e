"""Workers on Ray Train that train one model together.

Ray Train starts them, joins them by torch.distributed and starts all again when one dies. What they go on from is in
the object store (`dap_core.training.states`), so Ray's own checkpoints and its resume by name have no part in it.
"""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dap_core.errors import DapError, InputError, StoreUnavailableError, WorkerCrashError
from dap_core.training.loop import StepReport
from dap_core.training.runs import RunOptions, TrainingRun, execute_run
from dap_core.training.states import TrainState
from dap_core.training.team import Team
from services.jobs.gauging import Measurement, make_gauge, make_step_hook
from services.jobs.training_specs import TrainFields
from services.jobs.training_watch import TrainingWatch
from services.ray_session import connect_ray
from services.storage import open_store

_MAX_STARTS = 5
"""Starts that come no further before the run is given up."""
_POLL_S = 0.5
Heard = int | StepReport | Measurement
"""A step at which the workers began, one that is done, or what the detector was worth."""


@dataclass(frozen=True)
class TrainingPool:
    """`spec.workers` workers for one attempt of a job; `name` is that attempt's."""

    spec: TrainFields
    prepare: Callable[[Any], TrainingRun[Any]]
    name: str
    device: str

    def train(self, watch: TrainingWatch, should_stop: Callable[[], bool]) -> bool:
        """Trains to the end, and whether it came there or was asked to stop.

        Raises the error that a worker met, WorkerCrashError when they die again and again at one step, InputError when
        the cluster has no room.
        """
        num_workers = self.spec.workers or 1
        with connect_ray(self.spec.ray, num_cpus=max(num_workers + 1, os.cpu_count() or 1)):
            _check_room(num_workers, self._resources)
            return self._fit(num_workers, watch, should_stop)

    @property
    def _uses_gpus(self) -> bool:
        return self.device.startswith("cuda")

    @property
    def _resources(self) -> dict[str, float]:
        return {"CPU": 1.0, "GPU": 1.0} if self._uses_gpus else {"CPU": 1.0}

    def _fit(self, num_workers: int, watch: TrainingWatch, should_stop: Callable[[], bool]) -> bool:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        logging.getLogger("ray.train").setLevel(logging.ERROR)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options: dict[str, Any] = {"num_cpus": 0, "scheduling_strategy": here}
        mailbox: Any = ray.remote(**options)(_Mailbox).remote()
        with tempfile.TemporaryDirectory(prefix="dap-ray-train-") as folder:
            trainer = TorchTrainer(
                _train_worker,
                train_loop_config={"pool": self, "mailbox": mailbox},
                scaling_config=ScalingConfig(
                    num_workers=num_workers, use_gpu=self._uses_gpus, resources_per_worker=self._resources
                ),
                run_config=RunConfig(
                    name=self.name, storage_path=folder, failure_config=FailureConfig(max_failures=-1)
                ),
            )
            ended = _Ended()
            thread = threading.Thread(target=ended.run, args=(trainer.fit,), name="dap-ray-train", daemon=True)
            thread.start()
            while thread.is_alive():
                thread.join(_POLL_S)
                if should_stop():
                    ray.get(mailbox.stop.remote())
                _tell(ray.get(mailbox.take.remote()), watch)
            outcome: _Outcome = ray.get(mailbox.read_outcome.remote())
        if outcome.error is not None:
            raise pickle.loads(outcome.error)  # noqa: S301 - from a worker of our own
        if ended.error is not None:
            raise WorkerCrashError(f"Ray Train ended the run: {ended.error}") from ended.error
        return bool(outcome.finished)


@dataclass
class _Outcome:
    finished: bool = False
    error: bytes | None = None
    """A pickled DapError that another start would meet again."""


class _Mailbox:
    """An actor between the workers and the job: what the first worker did, whether to stop, how it ended."""

    def __init__(self) -> None:
        self._stop = False
        self._waiting: list[Heard] = []
        self._reached = self._reached_before = -1
        self._num_starts = 0
        self._outcome = _Outcome()

    def start(self) -> bool:
        """Counts a start of the workers; False when there were too many since one came further than all before."""
        self._num_starts = self._num_starts + 1 if self._reached == self._reached_before else 1
        self._reached_before = self._reached
        if self._num_starts > _MAX_STARTS:
            self.fail(
                WorkerCrashError(
                    f"the processes that train died {_MAX_STARTS} times and came no further than step "
                    f"{self._reached + 1}; see the logs of Ray. Where a batch needs more memory than there is, lower "
                    "batch_size or raise accumulation"
                )
            )
        return self._outcome.error is None

    def begin(self, step: int) -> None:
        """The workers begin at a step."""
        self._waiting.append(step)

    def add(self, heard: list[StepReport | Measurement]) -> bool:
        """Steps that are done, and measurements; whether to stop."""
        self._waiting += heard
        self._reached = max([self._reached, *(one.step for one in heard if isinstance(one, StepReport))])
        return self._stop

    def take(self) -> list[Heard]:
        """What was heard since the last call."""
        taken, self._waiting = self._waiting, []
        return taken

    def stop(self) -> None:
        """Asks the workers to stop after the step under way."""
        self._stop = True

    def fail(self, error: Exception) -> None:
        """A worker met what another start would meet again."""
        self._outcome.error = pickle.dumps(error)

    def is_over(self) -> bool:
        """Whether a worker met such an error, or the workers are to stop: then starting is of no use."""
        return self._stop or self._outcome.error is not None

    def finish(self, finished: bool) -> None:
        """The first worker came to the end, or stopped as asked."""
        self._outcome.finished = finished

    def read_outcome(self) -> _Outcome:
        """How it ended."""
        return self._outcome


class _Ended:
    """How a call in a thread ended."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def run(self, call: Callable[[], object]) -> None:
        """Calls, and keeps what it raises."""
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self.error = error


def _tell(heard: list[Heard], watch: TrainingWatch) -> None:
    for one in heard:
        if isinstance(one, int):
            watch.begin(one)
        elif isinstance(one, Measurement):
            watch.measure(one)
        else:
            watch.add(one)


def _check_room(num_workers: int, each: dict[str, float]) -> None:
    import ray

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, needed in each.items():
        if there.get(name, 0.0) < needed * num_workers:
            raise InputError(
                f"{num_workers} workers need {needed * num_workers:g} {name}, Ray has {there.get(name, 0.0):g}; "
                "ask for fewer workers, or add nodes"
            )


def _train_worker(config: dict[str, Any]) -> None:
    """What every worker runs; errors that another start would meet again end the run, all others start it again."""
    import ray
    from ray import train

    pool: TrainingPool = config["pool"]
    mailbox = config["mailbox"]
    if ray.get(mailbox.is_over.remote()):
        return
    place = train.get_context()
    device = str(train.torch.get_device()) if pool.device.startswith("cuda") else pool.device
    team = Team(place.get_world_rank(), place.get_world_size(), device)
    post = _Post(mailbox) if team.rank == 0 else None
    if post and not ray.get(mailbox.start.remote()):
        raise WorkerCrashError("the workers died too often")  # ends the others, too; the next start sees why
    try:
        run = pool.prepare(pool.spec)
        options = RunOptions(
            writer=pool.name, device=device, team=team, save_every=pool.spec.save_every, kept_steps=pool.spec.keep
        )
        finished = execute_run(
            run,
            open_store(pool.spec.out),
            options,
            on_start=post.begin if post else lambda _state: None,
            on_step=make_step_hook(post, make_gauge(pool.spec, run)) if post else lambda _report: None,
            should_stop=post.asks_to_stop if post else lambda: False,
        )
    except StoreUnavailableError:
        raise
    except (DapError, ValueError) as error:
        ray.get(mailbox.fail.remote(error))
        raise
    if post:
        post.flush()
        ray.get(mailbox.finish.remote(finished))


class _Post:
    """The first worker's side of the mailbox; it never waits for an answer while it trains."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._waiting: list[StepReport | Measurement] = []
        self._sent: Any = None
        self._stop = False

    def begin(self, state: TrainState | None) -> None:
        """Tells where the workers begin."""
        import ray

        ray.get(self._mailbox.begin.remote(state.step if state else 0))

    def add(self, report: StepReport) -> None:
        """Sends the step, or keeps it while the last answer is out."""
        self._send(report)

    def measure(self, measured: Measurement) -> None:
        """Sends the measurement, as a step is sent."""
        self._send(measured)

    def _send(self, heard: StepReport | Measurement) -> None:
        import ray

        self._waiting.append(heard)
        if self._sent is not None:
            answered, _ = ray.wait([self._sent], timeout=0)
            if not answered:
                return
            self._stop = self._stop or bool(ray.get(self._sent))
        self._sent = self._mailbox.add.remote(self._waiting)
        self._waiting = []

    def asks_to_stop(self) -> bool:
        """Whether the job is to stop, as far as is known."""
        return self._stop

    def flush(self) -> None:
        """Sends what is left, and waits."""
        import ray

        ray.get(self._mailbox.add.remote(self._waiting))
        self._waiting = []
