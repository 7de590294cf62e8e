"""Running the jobs of a study: what is done is skipped, what was begun goes on, jobs that can run at once do so on Ray.

A job computes with its own number of threads wherever it runs, so the results do not depend on how many run at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Literal, Protocol

from dap_core.errors import StudyStepError
from dap_core.threads import computing_with
from services.jobs.job_store import JobStore
from services.jobs.kinds import find_runner
from services.jobs.records import USABLE, JobRecord
from services.jobs.runner import run_job
from services.ray_session import connect_ray
from services.storage import open_store
from services.studies.steps import Step

_POLL_S = 1.0
_MAX_RETRIES = 3
"""Of a step whose process died, as when memory ran out."""


class StudyWatch(Protocol):
    """Who hears how far a study is."""

    def on_stage(self, text: str, num_steps: int) -> None:
        """A stage begins, with so many steps in all, those that are done among them."""
        ...

    def on_step(self, step: Step, what: Literal["skipped", "begun", "done"]) -> None:
        """A step was done before, begins, or is done."""
        ...


class _Silent:
    def on_stage(self, text: str, num_steps: int) -> None:
        """Nothing."""

    def on_step(self, step: Step, what: str) -> None:
        """Nothing."""


class StepRunner:
    """Runs steps below one root; what came of each is kept there."""

    def __init__(
        self, root: str, *, num_parallel: int = 1, ray: str | None = None, watch: StudyWatch | None = None
    ) -> None:
        """`num_parallel` cores compute at once; with 1, and no Ray cluster, all is done in this process."""
        self.root, self._num_parallel, self._ray = root, num_parallel, ray
        self.watch: StudyWatch = watch or _Silent()
        self.jobs = JobStore(open_store(root))

    def run(self, stage: str, steps: Mapping[str, Step]) -> dict[str, JobRecord]:
        """Runs what is not done yet, in an order in which each finds what it needs; the records of all.

        `stage` says for people what is done.

        Raises StudyStepError naming the step that failed; the others stay as they are, and go on at the next call.
        """
        self.watch.on_stage(stage, len(steps))
        records = {}
        for step in steps.values():
            self.jobs.submit(step.spec, step.id)
            record = self.jobs.read_record(step.id)
            if record is not None and record.state in USABLE:
                records[step.id] = record
                self.watch.on_step(step, "skipped")
        waiting = {key: step for key, step in steps.items() if key not in records}
        if waiting:
            on_ray = self._ray is not None or self._num_parallel > 1
            records |= self._run_on_ray(waiting) if on_ray else self._run_here(waiting)
        return records

    def _run_here(self, waiting: dict[str, Step]) -> dict[str, JobRecord]:
        records: dict[str, JobRecord] = {}
        for step in waiting.values():
            self.watch.on_step(step, "begun")
            records[step.id] = _check(step, *run_step(self.root, step.id, step.cores))
            self.watch.on_step(step, "done")
        return records

    def _run_on_ray(self, waiting: dict[str, Step]) -> dict[str, JobRecord]:
        import ray

        session = nullcontext() if ray.is_initialized() else connect_ray(self._ray, num_cpus=self._num_parallel)
        with session:
            return self._schedule(waiting)

    def _schedule(self, waiting: dict[str, Step]) -> dict[str, JobRecord]:
        import ray

        run: Any = ray.remote(max_retries=_MAX_RETRIES)(run_step)
        records: dict[str, JobRecord] = {}
        running: dict[Any, Step] = {}
        left = dict(waiting)
        while left or running:
            ready = [step for step in left.values() if not any(need in waiting.keys() - records for need in step.needs)]
            room = self._num_parallel - sum(step.cores for step in running.values())
            for step in ready:
                cores = min(step.cores, self._num_parallel)
                if self._ray is not None or cores <= room:
                    room -= cores
                    del left[step.id]
                    running[run.options(num_cpus=cores).remote(self.root, step.id, step.cores)] = step
                    self.watch.on_step(step, "begun")
            for done in ray.wait(list(running), timeout=_POLL_S)[0]:
                step = running.pop(done)
                try:
                    outcome = ray.get(done)
                except ray.exceptions.RayError as error:
                    raise StudyStepError(f"{step.name} ({step.id}) failed: its process died: {error}") from error
                records[step.id] = _check(step, *outcome)
                self.watch.on_step(step, "done")
        return records


def run_step(root: str, job: str, cores: int) -> tuple[JobRecord | None, str]:
    """Runs one job with so many threads: its record, or None and why it failed. Runs in a process of Ray, too."""
    jobs = JobStore(open_store(root))
    with computing_with(cores):
        try:
            return run_job(jobs, job, find_runner(jobs.read_spec(job))), ""
        except Exception as error:  # noqa: BLE001 - told by the process that waits
            return None, f"{type(error).__name__}: {error}"


def _check(step: Step, record: JobRecord | None, message: str) -> JobRecord:
    if record is None or record.state not in USABLE:
        message = message or (record.message if record else "") or "it made nothing of use"
        raise StudyStepError(f"{step.name} ({step.id}) failed: {message}")
    return record
