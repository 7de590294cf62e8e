"""Running one attempt of a job in this process: its record, its heartbeat, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dap_core.errors import JobStoppedError
from services.jobs.context import JobContext, Listener
from services.jobs.heartbeat import HEARTBEAT_S, Heart
from services.jobs.job_store import JobStore
from services.jobs.outcomes import Outcome
from services.jobs.records import INTERRUPTED, JobRecord, JobState

RunKind = Callable[[Any, JobContext], Outcome]
"""Does what a spec asks for; calls `report` or `check` of the context often."""


def run_job(
    jobs: JobStore, job: str, run: RunKind, *, listener: Listener | None = None, heartbeat_s: float = HEARTBEAT_S
) -> JobRecord:
    """Runs a job in this thread as a new attempt, and returns its last record.

    The record is written when the attempt begins and ends, and every `heartbeat_s` between; then it is also looked
    whether somebody asked it to stop, or a higher attempt is there, which ends this one without another word.

    Raises what the job raised, after the record says so; KeyboardInterrupt counts as cancelled.
    """
    spec = jobs.read_spec(job)
    attempt = jobs.next_attempt(job)
    context = JobContext(attempt.events, listener, name=f"{job}-{attempt.name}")
    with Heart(attempt, context, heartbeat_s) as heart:
        try:
            outcome = run(spec, context)
        except KeyboardInterrupt as error:
            heart.end(JobState.CANCELLED, message=context.stop_reason or INTERRUPTED)
            if context.stop_reason:
                raise JobStoppedError(context.stop_reason) from error
            raise
        except JobStoppedError as error:
            heart.end(JobState.CANCELLED, message=str(error))
            raise
        except Exception as error:
            kind = getattr(error, "error_type", type(error).__name__)
            heart.end(JobState.FAILED, message=str(error) or type(error).__name__, error_type=kind)
            raise
        return heart.end(outcome.state, message=outcome.message, result=outcome.result)
