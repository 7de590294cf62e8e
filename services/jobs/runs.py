"""Jobs that a reconciler takes to be running: what it started itself, and what it found."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from dap_core.errors import ObjectMissingError
from dap_core.stores import Store
from services.jobs.job_facts import JobFacts
from services.jobs.launchers import Runner, RunnerEnd
from services.jobs.records import ENDED, JobRecord

STARTING_KEY = "reconciler/starting.json"
"""Jobs that were started and have no record of that attempt yet, by id, with the highest attempt before."""


@dataclass(slots=True)
class Run:
    """One job that runs, is about to, or is being taken over; times are of `time.monotonic`."""

    id: str
    kind: str
    runner: Runner | None = None
    """Who runs it, where that was started here."""
    base: int = 0
    """Its highest attempt when it was started here, or when it was found one less than that."""
    launched_at: float = field(default_factory=time.monotonic)
    stillborn: int = 0
    """Runners in a row that ended without a record."""
    lost: str | None = None
    """Why it is to be taken over."""
    due: float = 0.0
    """When that is."""
    record: JobRecord | None = None
    """Of the highest attempt, as last read, and below where it lies and its etag."""
    record_key: str = ""
    record_etag: str = ""

    @property
    def is_unborn(self) -> bool:
        """Whether the attempt it was started for has written no record yet."""
        return self.record is None or self.record.attempt <= self.base

    def explain_waiting(self) -> str | None:
        """What the runner waits for before it can begin."""
        return self.runner.explain_waiting() if self.runner and self.is_unborn else None

    def begin(self, runner: Runner | None, base: int) -> None:
        """It is started again, after attempt `base`."""
        self.runner, self.base, self.lost, self.launched_at = runner, base, None, time.monotonic()

    def note(self, facts: JobFacts, record: JobRecord | None) -> None:
        """Keeps what was read of the job."""
        info = facts.record
        self.record, self.record_key, self.record_etag = record, info.key if info else "", info.etag if info else ""
        if not self.is_unborn:
            self.stillborn = 0

    def find_end(self) -> RunnerEnd | None:
        """How the runner of the highest attempt ended, None where it runs, or that cannot be told from here.

        A runner that gave way to one that somebody else started is forgotten.
        """
        end = self.runner.poll() if self.runner else None
        if self.runner is None or end is None or self.record is None or self.is_unborn:
            return end
        if end.is_superseded or not self.runner.owns(self.record):
            self.runner = end = None
        return end


@dataclass(frozen=True, slots=True)
class NoRunner:
    """Stands for a runner that could not be started."""

    reason: str

    def poll(self) -> RunnerEnd:
        """It has ended."""
        return RunnerEnd(None, self.reason)

    def explain_waiting(self) -> None:
        """It waits for nothing."""

    def owns(self, _record: JobRecord) -> bool:
        """It runs no attempt."""
        return False

    def stop(self) -> None:
        """Nothing."""

    def kill(self) -> None:
        """Nothing."""


def is_unchanged(store: Store, run: Run, oldest: float) -> bool:
    """Whether a running attempt has its record as it was and not from before `oldest`, or a newer running one.

    One request, two when it has a newer one.
    """
    if run.record is None or run.is_unborn or run.record.state in ENDED:
        return False
    info = next(iter(store.list_objects(run.record_key)), None)
    if info is None or info.modified < oldest:
        return False
    if info.etag != run.record_etag:
        record = JobRecord.from_json(store.get(run.record_key), run.record_key)
        if record.state in ENDED:
            return False
        run.record, run.record_etag = record, info.etag
    return True


def write_starting(store: Store, runs: Iterable[Run]) -> None:
    """Leaves word of what was started and has not written a record, for a reconciler that comes after."""
    starting = {run.id: run.base for run in runs if run.is_unborn and run.lost is None}
    store.put(STARTING_KEY, json.dumps(starting).encode())


def read_starting(store: Store, oldest: float) -> dict[str, int]:
    """What `write_starting` left, when that was after `oldest`."""
    try:
        info = next(iter(store.list_objects(STARTING_KEY)), None)
        values = json.loads(store.get(STARTING_KEY)) if info and info.modified >= oldest else {}
        return {str(job): int(base) for job, base in values.items()}
    except (ObjectMissingError, ValueError, AttributeError):
        return {}
