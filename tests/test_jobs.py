"""Jobs in a store: one writer each, a heartbeat, a clean stop, and events that are read from any place on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dap_core.errors import (
    InputError,
    JobConflictError,
    JobMissingError,
    JobRecordError,
    JobStoppedError,
    SourceError,
    StoreUnavailableError,
)
from dap_core.stores import LocalStore
from services.jobs.context import JobContext
from services.jobs.job_store import JobStore
from services.jobs.outcomes import Outcome
from services.jobs.progress import Progress
from services.jobs.records import JobState
from services.jobs.runner import run_job
from services.jobs.specs import MineSpec
from tests.waiting import wait_until

SPEC = MineSpec(source=("photos",), out="labels")
BEAT_S = 0.05


@pytest.fixture
def jobs(tmp_path: Path) -> JobStore:
    return JobStore(LocalStore(tmp_path))


def do_nothing(_spec: MineSpec, _context: JobContext) -> Outcome:
    return Outcome(JobState.SUCCEEDED, {"made": 3})


def wait_to_be_stopped(_spec: MineSpec, context: JobContext) -> Outcome:
    while True:
        context.check()
        time.sleep(0.01)


def run_in_thread(jobs: JobStore, job: str, run: Callable[[MineSpec, JobContext], Outcome]) -> threading.Thread:
    """Runs a job beside the test; what it raises is not of interest."""

    def target() -> None:
        with pytest.raises(JobStoppedError):
            run_job(jobs, job, run, heartbeat_s=BEAT_S)

    thread = threading.Thread(target=target)
    thread.start()
    wait_until(lambda: bool(list(jobs.store.list_objects(f"jobs/{job}/attempts/"))))
    return thread


def test_a_job_is_queued_then_runs_and_its_record_says_how_it_ended(jobs: JobStore):
    job = jobs.submit(SPEC)
    assert (list(jobs.list_jobs()), jobs.read_record(job)) == ([job], None)
    record = run_job(jobs, job, do_nothing)
    assert record == jobs.read_record(job)
    assert (record.state, record.attempt, record.result) == (JobState.SUCCEEDED, 1, {"made": 3})
    assert record.started <= record.updated == record.ended
    assert [event.values["state"] for event in jobs.read_events(job)] == ["RUNNING", "SUCCEEDED"]


def test_a_job_run_again_is_another_attempt_and_the_first_stays(jobs: JobStore):
    job = jobs.submit(SPEC)
    run_job(jobs, job, do_nothing)
    assert run_job(jobs, job, do_nothing).attempt == 2
    assert [event.id for event in jobs.read_events(job)] == ["1.1", "1.2", "2.1", "2.2"]
    assert [event.id for event in jobs.read_events(job, "1.1")] == ["1.2", "2.1", "2.2"]
    assert [event.id for event in jobs.read_events(job, "2.2")] == []


def test_the_same_job_twice_under_one_id_is_one_job_and_another_is_refused(jobs: JobStore):
    assert jobs.submit(SPEC, "mine-1") == jobs.submit(SPEC, "mine-1") == "mine-1"
    with pytest.raises(JobConflictError, match="asks for something else"):
        jobs.submit(MineSpec(source=("photos",), out="elsewhere"), "mine-1")
    assert list(jobs.list_jobs()) == ["mine-1"]


@pytest.mark.parametrize("job", ["../keys", "", "a/b", ".hidden", "a" * 101])
def test_what_is_no_id_is_refused(jobs: JobStore, job: str):
    with pytest.raises(InputError, match="an id of a job is"):
        jobs.submit(SPEC, job)


def test_a_job_that_is_not_there_and_a_damaged_record_are_told_apart(jobs: JobStore):
    with pytest.raises(JobMissingError, match="there is no job mine-2"):
        jobs.read_record("mine-2")
    job = jobs.submit(SPEC)
    run_job(jobs, job, do_nothing)
    [record] = [one.key for one in jobs.store.list_objects("jobs/") if one.key.endswith("record.json")]
    jobs.store.put(record, b'{"state": "DONE"}')
    with pytest.raises(JobRecordError, match="is no record of a job"):
        jobs.read_record(job)


@pytest.mark.parametrize(
    ("error", "state", "kind"),
    [
        (SourceError("no image"), JobState.FAILED, "unusable-source"),
        (RuntimeError("odd"), JobState.FAILED, "RuntimeError"),
        (KeyboardInterrupt(), JobState.CANCELLED, None),
    ],
)
def test_what_ends_a_job_early_is_in_its_record(
    jobs: JobStore, error: BaseException, state: JobState, kind: str | None
):
    def fail(_spec: MineSpec, context: JobContext) -> Outcome:
        context.warn("it looks odd")
        raise error

    job = jobs.submit(SPEC)
    with pytest.raises(type(error)):
        run_job(jobs, job, fail)
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, record.error_type, record.warnings) == (state, kind, ("it looks odd",))
    assert record.message == (str(error) or "interrupted")


def test_a_running_job_shows_its_stage_its_counts_and_a_heartbeat(jobs: JobStore):
    seen = []

    def count(_spec: MineSpec, context: JobContext) -> Outcome:
        context.progress.start(10, parts=2)
        with context.in_stage("looking"):
            context.progress.add(4, {"empty-image": 1}, parts=1)
            wait_until(lambda: (record := jobs.read_record(job)) is not None and record.progress.done == 4)
            seen.append(jobs.read_record(job))
            wait_until(lambda: jobs.read_record(job).updated > seen[0].updated)  # type: ignore[union-attr]
        return Outcome(JobState.SUCCEEDED, {})

    job = jobs.submit(SPEC)
    run_job(jobs, job, count, heartbeat_s=BEAT_S)
    [record] = seen
    assert (record.state, record.stage) == (JobState.RUNNING, "looking")
    progress = record.progress
    assert (progress.total, progress.done, progress.failed, progress.parts, progress.parts_done) == (10, 4, 1, 2, 1)
    assert progress.failures_by_type == {"empty-image": 1}


def test_a_job_that_is_asked_to_stop_stops(jobs: JobStore):
    job = jobs.submit(SPEC)
    thread = run_in_thread(jobs, job, wait_to_be_stopped)
    jobs.request_cancel(job)
    thread.join()
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, record.message) == (JobState.CANCELLED, "it was asked to stop")


def test_a_job_that_was_asked_to_stop_before_it_began_stops_and_can_be_run_again(jobs: JobStore):
    job = jobs.submit(SPEC)
    jobs.request_cancel(job)
    run_in_thread(jobs, job, wait_to_be_stopped).join()
    first = jobs.read_record(job)
    assert first is not None
    assert first.state == JobState.CANCELLED
    assert run_job(jobs, job, do_nothing, heartbeat_s=BEAT_S).state == JobState.SUCCEEDED


def test_an_attempt_that_is_taken_over_writes_nothing_more(jobs: JobStore):
    job = jobs.submit(SPEC)
    thread = run_in_thread(jobs, job, wait_to_be_stopped)
    run_job(jobs, job, do_nothing)
    thread.join()
    [first, second] = [one.key for one in jobs.store.list_objects("jobs/") if one.key.endswith("record.json")]
    assert (b"RUNNING" in jobs.store.get(first), b"SUCCEEDED" in jobs.store.get(second)) == (True, True)
    record = jobs.read_record(job)
    assert record is not None
    assert (record.attempt, record.state) == (2, JobState.SUCCEEDED)
    assert [event.id for event in jobs.read_events(job)] == ["1.1", "2.1", "2.2"]


def test_a_job_that_hears_nothing_in_the_main_thread_is_interrupted(tmp_path: Path):
    program = """
import sys, time
from dap_core.stores import LocalStore
from services.jobs.job_store import JobStore
from services.jobs.runner import run_job
from services.jobs.specs import MineSpec
jobs = JobStore(LocalStore(sys.argv[1]))
jobs.submit(MineSpec(source=("photos",), out="labels"), "deaf")
run_job(jobs, "deaf", lambda spec, context: time.sleep(60), heartbeat_s=0.05)
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    jobs = JobStore(LocalStore(tmp_path))
    wait_until(lambda: bool(list(jobs.store.list_objects("jobs/deaf/attempts/"))))
    jobs.request_cancel("deaf")
    _, errors = process.communicate(timeout=30)
    assert "JobStoppedError: it was asked to stop" in errors
    record = jobs.read_record("deaf")
    assert record is not None
    assert record.state == JobState.CANCELLED


class FlakyStore(LocalStore):
    """A folder that cannot be written for a while."""

    is_down = False

    def put(self, key: str, data: bytes | memoryview) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is down")
        super().put(key, data)


def test_a_heartbeat_that_cannot_be_written_is_no_end_and_no_event_is_lost(tmp_path: Path):
    store = FlakyStore(tmp_path)
    jobs = JobStore(store)

    def work(_spec: MineSpec, context: JobContext) -> Outcome:
        store.is_down = True
        context.add_event("shard", shard=1)
        time.sleep(4 * BEAT_S)
        store.is_down = False
        context.add_event("shard", shard=2)
        return Outcome(JobState.SUCCEEDED, {})

    job = jobs.submit(SPEC)
    assert run_job(jobs, job, work, heartbeat_s=BEAT_S).state == JobState.SUCCEEDED
    events = list(jobs.read_events(job))
    assert [event.id for event in events] == ["1.1", "1.2", "1.3", "1.4"]
    assert [event.values["shard"] for event in events if event.kind == "shard"] == [1, 2]


def test_the_rate_leaves_out_what_earlier_runs_did_and_forgets_after_a_minute():
    now = 0.0
    progress = Progress(clock=lambda: now)
    progress.start(1000, parts=10)
    progress.resume(100, 5)
    assert (progress.read().done, progress.read().per_s, progress.read().eta_s) == (100, None, None)
    for _ in range(20):
        now += 1
        progress.add(10)
    assert (progress.read().per_s, progress.read().eta_s) == (10.0, 70.0)
    for _ in range(100):
        now += 1
        progress.add(1)
    assert progress.read().per_s == pytest.approx(1.0, abs=0.1)
    assert progress.read().failed == 5
