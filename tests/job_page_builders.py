"""Jobs for the tests of pages: very many at once, and ones that do what a test tells them, step by step."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobRecord, JobState
from services.jobs.specs import MineSpec
from tests.job_api_builders import JobPlace
from tests.waiting import wait_until

_LONGEST_S = 180.0
"""A job whose test has failed ends by itself."""


def write_ended_jobs(place: JobPlace, number: int) -> None:
    """So many jobs of kind mine that have ended, a second after each other, without going through the service."""
    spec = MineSpec.model_validate(place.make_mine()).to_json()
    states = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
    for one in range(number):
        created = f"2026-11-{1 + one // 86_400:02d}T{one // 3600 % 24:02d}:{one // 60 % 60:02d}:{one % 60:02d}.000Z"
        job, state = f"job-{one:05d}", states[one % len(states)]
        record = JobRecord(job=job, attempt=1, state=state, started=created, updated=created, ended=created)
        folder = place.root / "jobs" / job
        (folder / "attempts" / "0001-0a").mkdir(parents=True)
        (folder / "spec.json").write_text(spec)
        owner = {"owner": "local", "kind": "mine", "created": created, "after": []}
        (folder / "owner.json").write_text(json.dumps(owner))
        (folder / "attempts" / "0001-0a" / "record.json").write_text(record.to_json())


class SteppedJob:
    """A job that runs beside a test, and does what the test hands it until it is told how to end."""

    def __init__(self, place: JobPlace, job: str) -> None:
        self.job = job
        self._waiting: list[Callable[[JobContext], None]] = []
        self._ended = threading.Event()
        self._outcome = Outcome(JobState.SUCCEEDED, {})
        self._thread = place.start(job, self._work)

    def do(self, action: Callable[[JobContext], None]) -> None:
        """Runs `action` in the job, and waits until that is done."""
        done = threading.Event()

        def act(context: JobContext) -> None:
            action(context)
            done.set()

        self._waiting.append(act)
        wait_until(done.is_set)

    def end(self, outcome: Outcome | None = None) -> None:
        """Lets the job end, and waits for it."""
        self._outcome = outcome or self._outcome
        self._ended.set()
        self._thread.join()

    def _work(self, _spec: Any, context: JobContext) -> Outcome:
        gives_up_at = time.monotonic() + _LONGEST_S
        while not self._ended.wait(0.01) and time.monotonic() < gives_up_at:
            context.check()
            while self._waiting:
                self._waiting.pop(0)(context)
        return self._outcome
