"""What is known of attempts that came to no end, and ending a job that nobody runs by an attempt of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from dap_core.stores import Store
from services.jobs.context import format_now
from services.jobs.job_facts import JobFacts, rank_attempt
from services.jobs.job_store import JobStore
from services.jobs.records import JobRecord, JobState, ProgressCounts
from services.jobs.standing import was_interrupted


def read_attempts(store: Store, facts: JobFacts) -> list[JobRecord]:
    """The records of all attempts since another one was last asked for, in order; each is read.

    Raises JobRecordError, StoreError.
    """
    last_asked = max(facts.resumes, default=0)
    wanted = [name for name in sorted(facts.records, key=rank_attempt) if rank_attempt(name)[0] > last_asked]
    return [JobRecord.from_json(store.get(facts.records[name].key), facts.records[name].key) for name in wanted]


def count_idle(records: Sequence[JobRecord]) -> int:
    """How many of the last attempts got no further than those before them; interrupted ones do not count."""
    best, idle = (0, 0), 0
    for record in records:
        reached = (record.progress.done, record.progress.parts_done)
        if reached > best:
            best, idle = reached, 0
        elif not was_interrupted(record):
            idle += 1
    return idle


def close_job(
    jobs: JobStore, job: str, state: JobState, message: str, *, last: JobRecord | None, error_type: str | None = None
) -> None:
    """Ends a job by the record of an attempt that did nothing; the counts are those of the `last` one.

    Raises StoreError.
    """
    attempt, now = jobs.next_attempt(job), format_now()
    attempt.events.add(now, "state", {"state": state, "message": message})
    attempt.write(
        JobRecord(
            job=job,
            attempt=attempt.number,
            state=state,
            started=now,
            updated=now,
            ended=now,
            progress=last.progress if last else ProgressCounts(),
            error_type=error_type,
            message=message,
            warnings=last.warnings if last else (),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
    )
