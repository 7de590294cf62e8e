"""What a reconciler tells of the jobs it looks after."""

from __future__ import annotations

from collections import Counter

from services.jobs.jobs_summary import summarize
from services.jobs.queueing import WaitingJob
from services.jobs.records import JobRecord, JobState, ProgressCounts
from services.jobs.runs import NoRunner, Run


def make_run(kind: str, progress: ProgressCounts | None) -> Run:
    record = JobRecord(job=kind, attempt=1, state=JobState.RUNNING, started="", updated="", progress=progress)
    return Run(kind, kind, runner=NoRunner("none"), record=record)


class Unplaced(NoRunner):
    """A runner without room."""

    def explain_waiting(self) -> str:  # type: ignore[override]
        return "waits for room"


def test_jobs_are_counted_by_kind_and_state_and_their_progress_is_added_up():
    waiting = [WaitingJob(id=name, kind="mine", submitted=0.0, attempt=0) for name in "ab"]
    runs = [
        make_run("mine", ProgressCounts(total=100, done=30, parts=10, parts_done=3)),
        make_run("mine", ProgressCounts(total=50, done=5)),
        make_run("pretrain", ProgressCounts(parts=400, parts_done=7, part_name="step")),
        Run("x", "evaluate", runner=Unplaced("none")),
    ]
    found = summarize(waiting, runs, {("mine", "FAILED"): 2})
    assert found.num_jobs == Counter(
        {("mine", "QUEUED"): 2, ("mine", "RUNNING"): 2, ("pretrain", "RUNNING"): 1, ("evaluate", "QUEUED"): 1}
    )
    assert found.num_ended == Counter({("mine", "FAILED"): 2})
    assert (found.done, found.total) == (
        Counter(mine=35, pretrain=7),
        Counter(mine=150, pretrain=400),
    )
