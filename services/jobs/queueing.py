"""Which of the jobs that wait are started, and what the others are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from services.jobs.records import USABLE, JobState

FindState = Callable[[str], JobState | None]
"""The state of a job, None when there is no such job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """How many jobs run at the same time."""

    total: int = 2
    per_kind: Mapping[str, int] = field(default_factory=dict)
    """Of these kinds at most so many, within the total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob:
    """A job that waits to be started."""

    id: str
    kind: str
    submitted: float
    """When its spec was stored, in seconds since 1970."""
    attempt: int
    """The highest it has, 0 before the first."""
    after: tuple[str, ...] = ()
    """Jobs that have to succeed first, at least in part."""


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """What to start now, in order, and why the others wait, by id."""

    start: tuple[WaitingJob, ...]
    reasons: dict[str, str]


def plan_queue(
    waiting: Iterable[WaitingJob], running_kinds: Iterable[str], limits: JobLimits, find_state: FindState
) -> QueuePlan:
    """Starts jobs in order of submission; one that cannot start yet does not hold up those behind it."""
    running = Counter(running_kinds)
    start: list[WaitingJob] = []
    reasons: dict[str, str] = {}
    for job in sorted(waiting, key=lambda one: (one.submitted, one.id)):
        reason = _explain_inputs(job, find_state) or _explain_limits(job, running, limits)
        if reason is None:
            running[job.kind] += 1
            start.append(job)
        else:
            reasons[job.id] = f"{reason}; place {len(reasons) + 1} in the queue"
    return QueuePlan(tuple(start), reasons)


def _explain_inputs(job: WaitingJob, find_state: FindState) -> str | None:
    for other in job.after:
        state = find_state(other)
        if state in USABLE:
            continue
        if state is None:
            return f"waits for job {other}, which is not there"
        if state in (JobState.FAILED, JobState.CANCELLED):
            return f"waits for job {other}, which ended {state}: resume that one, or cancel this one"
        return f"waits for job {other}, which is {state}"
    return None


def _explain_limits(job: WaitingJob, running: Counter[str], limits: JobLimits) -> str | None:
    of_kind = limits.per_kind.get(job.kind)
    if running.total() >= limits.total:
        return f"waits for a free place: {running.total()} jobs run, and at most {limits.total} may"
    if of_kind is not None and running[job.kind] >= of_kind:
        return f"waits for a free place: {running[job.kind]} jobs of kind {job.kind} run, and at most {of_kind} may"
    return None
