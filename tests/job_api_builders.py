"""A service with jobs on a local store: its desk, its clients, and jobs that run beside the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from dap_core.errors import JobStoppedError
from dap_core.stores import LocalStore
from services.jobs.context import JobContext
from services.jobs.job_desk import JobDesk
from services.jobs.job_policy import JobPolicy
from services.jobs.job_store import JobStore
from services.jobs.outcomes import Outcome
from services.jobs.records import JobRecord, JobState
from services.jobs.runner import run_job
from services.keys import create_key
from tests.api_builders import ScriptedLabeling, run_app
from tests.waiting import wait_until

BEAT_S = 0.03


@dataclass
class JobPlace:
    """A store, where jobs may read and write, and what runs jobs there."""

    root: Path
    data: Path
    store: LocalStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = LocalStore(self.root)

    @property
    def jobs(self) -> JobStore:
        return JobStore(self.store)

    def make_desk(self, store: LocalStore | None = None) -> JobDesk:
        return JobDesk(store or self.store, JobPolicy(places=(str(self.data),), root=str(self.root)))

    def make_key(self, name: str, *scopes: str) -> dict[str, str]:
        """The headers of a new key."""
        return {"Authorization": f"Bearer {create_key(self.store, name, scopes or ['jobs'])[1]}"}

    def make_mine(self, out: str = "labels", **fields: Any) -> dict[str, Any]:
        return {"kind": "mine", "source": [str(self.data / "photos")], "out": str(self.data / out), **fields}

    @contextmanager
    def serve(self, desk: JobDesk | None = None, **settings: Any) -> Iterator[httpx.Client]:
        """A client of the application with these jobs."""
        with run_app(ScriptedLabeling(), self.root, jobs=desk or self.make_desk(), **settings) as client:
            yield client

    def run(self, job: str, work: Callable[[Any, JobContext], Outcome] | None = None) -> JobRecord:
        """Runs a job to its end here."""
        return run_job(self.jobs, job, work or succeed, heartbeat_s=BEAT_S)

    def start(self, job: str, work: Callable[[Any, JobContext], Outcome]) -> threading.Thread:
        """Runs a job beside the test, from its first record on."""

        def target() -> None:
            with suppress(JobStoppedError, ValueError):
                self.run(job, work)

        before = len(list(self.store.list_objects(f"jobs/{job}/attempts/")))
        thread = threading.Thread(target=target)
        thread.start()
        wait_until(lambda: len(list(self.store.list_objects(f"jobs/{job}/attempts/"))) > before)
        return thread


def make_job_place(folder: Path) -> JobPlace:
    return JobPlace(folder / "store", folder / "data")


def succeed(_spec: Any, _context: JobContext) -> Outcome:
    return Outcome(JobState.SUCCEEDED, {"made": 1})


def succeed_in_part(_spec: Any, _context: JobContext) -> Outcome:
    return Outcome(JobState.PARTIALLY_SUCCEEDED, {"made": 1}, "1 of 2 images failed")


def fail(_spec: Any, _context: JobContext) -> Outcome:
    raise ValueError("it is broken")


def wait_for_stop(_spec: Any, context: JobContext) -> Outcome:
    while True:
        context.check()
        time.sleep(0.01)
