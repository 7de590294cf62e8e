"""Runners as jobs of a Ray cluster, placed on any of its nodes that has room."""

from __future__ import annotations

import logging
import secrets
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dap_core.errors import StoreError
from dap_core.stores import Store
from services.jobs.job_store import JobStore
from services.jobs.launchers import LOG_BYTES, LOG_EVERY_S, Runner, RunnerEnd, read_last_line
from services.jobs.ray_placing import has_pool
from services.jobs.records import JobRecord
from services.jobs.specs import JobSpec

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

THIS_CLUSTER = "auto"
"""Address of the cluster that this process belongs to."""
_STOP_WAIT_S = 30
"""From the request to stop to SIGKILL: time for a last state."""
_KILL_WAIT_S = 10.0
_DRIVER_BYTES = 400 * 2**20
"""Of a runner that only leads others. It asks for no core, as one labeler the less would have room."""
HEAD_LABEL = ("dap-role", "head")
"""What the head is to be labelled with, so that runners stay away from it."""
GPU_NODE = "gpu_node"
"""Resource that nodes with GPUs have to offer, so that a runner which leads others sees a GPU without taking it."""
_LOG = logging.getLogger(__name__)
_UNREACHABLE = (RuntimeError, ConnectionError, OSError)
"""What Ray's client raises while the head is away or does not know the job."""


@dataclass(frozen=True, slots=True)
class RayJobOptions:
    """What a job gets of the cluster."""

    cpus: float = 1.0
    """Cores of a job that one process does."""
    gpus: float = 0.0
    """GPUs of it, and of each process of one that several do."""
    max_processes: int = 16
    """Labelers of a job that does not say how many."""


@dataclass
class RayJobLauncher:
    """Starts each attempt as a job of the cluster, under the id `<job>-<attempt>`, which is there once only.

    What a runner prints goes to `jobs/<id>/logs/<attempt>-<random>.log` in the store, its last MiB every ten seconds
    and at the end.
    """

    store: Store
    address: str
    """`http://host:8265`, or THIS_CLUSTER."""
    options: RayJobOptions = field(default_factory=RayJobOptions)
    _client: JobSubmissionClient | None = None

    def start(self, job: str, attempt: int) -> Runner:
        """A job of the cluster that runs the next attempt of a job.

        Raises OSError when the cluster takes none, InputError, StoreError.
        """
        name = f"{job}-{attempt:04d}"
        spec = JobStore(self.store).read_spec(job)
        try:
            client = self._connect()
            self._submit(client, name, job, attempt, spec)
        except _UNREACHABLE as error:
            self._client = None  # the next one may be elsewhere
            raise OSError(f"the cluster at {self.address} takes no job: {error}") from error
        log_key = f"jobs/{job}/logs/{attempt:04d}-{secrets.token_hex(4)}.log"
        return RayJobRunner(client, name, attempt, self.store, log_key)

    def _connect(self) -> JobSubmissionClient:
        from ray.job_submission import JobSubmissionClient

        if self._client is None:
            self._client = JobSubmissionClient(None if self.address == THIS_CLUSTER else self.address)
        return self._client

    def _submit(self, client: JobSubmissionClient, name: str, job: str, attempt: int, spec: JobSpec) -> None:
        known = _find(client, name)
        if known is not None and not known.status.is_terminal():
            _LOG.info("job %s is on the cluster already, as %s", job, name)
            return
        if known is not None:  # it ended before it wrote a record, else this attempt had another number
            client.delete_job(name)
        client.submit_job(
            submission_id=name,
            entrypoint=shlex.join(self._make_command(job, attempt)),
            runtime_env={"env_vars": self._make_environment(has_pool(spec))},
            metadata={"job": job, "kind": spec.kind},
            entrypoint_label_selector={HEAD_LABEL[0]: f"!{HEAD_LABEL[1]}"},
            **(self._ask_for_leader() if has_pool(spec) else self._ask_for_worker()),
        )

    def _ask_for_leader(self) -> dict[str, Any]:
        resources = {GPU_NODE: 0.001} if self.options.gpus else None
        return {"entrypoint_memory": _DRIVER_BYTES, "entrypoint_resources": resources}

    def _ask_for_worker(self) -> dict[str, Any]:
        return {"entrypoint_num_cpus": self.options.cpus, "entrypoint_num_gpus": self.options.gpus or None}

    def _make_command(self, job: str, attempt: int) -> Sequence[str]:
        options = self.options
        only = ("--attempt", str(attempt), "--nice", "0")
        placed = ("--ray", THIS_CLUSTER, "--max-labelers", str(options.max_processes), "--gpus", f"{options.gpus:g}")
        return (sys.executable, "-m", "services.jobs.attempting", self.store.uri, job, *only, *placed)

    def _make_environment(self, is_pool: bool) -> dict[str, str]:
        threads = 1 if is_pool else max(1, round(self.options.cpus))
        return {
            "OMP_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # who leads others sees the GPUs of its node
            "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S),
        }


class RayJobRunner:
    """A job of the cluster that `RayJobLauncher` started."""

    def __init__(self, client: JobSubmissionClient, name: str, attempt: int, store: Store, log_key: str) -> None:
        """The log is put into `store` under `log_key`."""
        self.name = name
        self._client, self._attempt, self._store, self._log_key = client, attempt, store, log_key
        self._end: RunnerEnd | None = None
        self._is_pending = True
        self._put_due = time.monotonic() + LOG_EVERY_S

    def poll(self) -> RunnerEnd | None:
        """How it ended, None while it runs or the cluster does not say; the same on every later call."""
        if self._end is None:
            details = self._read()
            self._is_pending = details is not None and details.status == "PENDING"
            if details is not None and details.status.is_terminal():
                self._end = self._describe(details)
            elif not self._is_pending and time.monotonic() >= self._put_due:
                self._put_due = time.monotonic() + LOG_EVERY_S
                self._put_log()
        return self._end

    def explain_waiting(self) -> str | None:
        """What it waits for, as of the last `poll`; None once it runs."""
        return "waits for room on the cluster" if self._is_pending and self._end is None else None

    def owns(self, record: JobRecord) -> bool:
        """Whether a record is of the attempt that it was started for."""
        return record.attempt == self._attempt

    def stop(self) -> None:
        """Has the cluster send SIGTERM, and SIGKILL half a minute later."""
        with suppress(*_UNREACHABLE):
            self._client.stop_job(self.name)

    def kill(self) -> None:
        """Ends it as `stop` does, and waits a little.

        One that waits for room, or whose cluster does not answer, is not waited for: when it begins at last, it ends at
        once, as another attempt or the end of the job was written meanwhile.
        """
        if self.poll() is not None:
            return
        self.stop()
        if self._is_pending:
            return
        deadline = time.monotonic() + _KILL_WAIT_S
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)

    def _read(self) -> JobDetails | None:
        try:
            return self._client.get_job_info(self.name)
        except _UNREACHABLE as error:
            _LOG.debug("of %s nothing is known: %s", self.name, error)
            return None

    def _describe(self, details: JobDetails) -> RunnerEnd:
        log = self._put_log()
        code = details.driver_exit_code
        how = f"exit code {code}" if code is not None else f"Ray says {details.status}, {details.message}"
        line = read_last_line(log)
        return RunnerEnd(code, f"{how}: {line}" if line else how)

    def _put_log(self) -> bytes:
        """Its last MiB; the job goes on without where it cannot be had or put."""
        log = b""
        with suppress(StoreError, *_UNREACHABLE):
            log = self._client.get_job_logs(self.name).encode()[-LOG_BYTES:]
            self._store.put(self._log_key, log)
        return log


def _find(client: JobSubmissionClient, name: str) -> JobDetails | None:
    try:
        return client.get_job_info(name)
    except RuntimeError as error:
        if "does not exist" in str(error) or "404" in str(error):
            return None
        raise
