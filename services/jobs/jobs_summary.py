"""How many jobs wait and run, and how far these are, as a reconciler sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.jobs.queueing import WaitingJob
from services.jobs.records import JobState
from services.jobs.runs import Run


@dataclass(frozen=True, slots=True)
class JobsSummary:
    """Jobs by kind and state, and what the running ones have done and have to do, by kind, in images or steps."""

    num_jobs: Counter[tuple[str, str]]
    """Those that wait, and those that run."""
    num_ended: Counter[tuple[str, str]]
    """Those that ended since this reconciler began."""
    done: Counter[str]
    total: Counter[str]


OnPass = Callable[[JobsSummary], None]


def summarize(
    waiting: Iterable[WaitingJob], runs: Iterable[Run], num_ended: Mapping[tuple[str, str], int]
) -> JobsSummary:
    """The summary of what waits, runs and has ended."""
    summary = JobsSummary(Counter(), Counter(num_ended), Counter(), Counter())
    for job in waiting:
        summary.num_jobs[job.kind, str(JobState.QUEUED)] += 1
    for run in runs:
        state = JobState.QUEUED if run.explain_waiting() else JobState.RUNNING
        summary.num_jobs[run.kind, str(state)] += 1
        progress = run.record.progress if run.record else None
        if progress:
            summary.done[run.kind] += progress.done if progress.total else progress.parts_done
            summary.total[run.kind] += progress.total or progress.parts
    return summary
