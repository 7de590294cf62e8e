"""The parts of a reconciler alone: how a job stands, when it is given up, what time it is, what a pass costs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dap_core.errors import ObjectMissingError, StoreUnavailableError
from dap_core.stores import LocalStore, ObjectInfo
from services.jobs.job_facts import JobFacts
from services.jobs.job_store import JobStore
from services.jobs.launchers import Runner
from services.jobs.queueing import JobLimits, WaitingJob, plan_queue
from services.jobs.reconciler_marks import ReconcilerMark
from services.jobs.reconciling import Reconciler, ReconcilerOptions
from services.jobs.records import JobRecord, JobState, ProgressCounts
from services.jobs.specs import MineSpec
from services.jobs.standing import Standing, is_cancel_left_behind, judge
from services.jobs.takeovers import count_idle

NUM_JOBS = 10_000
RECORD = JobRecord(job="mine-1", attempt=1, state=JobState.RUNNING, started="", updated="")


def make_facts(
    attempt: int = 0, *, cancels: tuple[int, ...] = (), resumes: tuple[int, ...] = (), is_owned: bool = True
) -> JobFacts:
    info = ObjectInfo("", 1, "", 0.0)
    records = {f"{attempt:04d}-ab": info} if attempt else {}
    return JobFacts("mine-1", info, info if is_owned else None, records, set(cancels), set(resumes))


@pytest.mark.parametrize(
    ("facts", "state", "runner_end", "silent_s", "standing"),
    [
        (make_facts(), None, None, 0, Standing.WAITS),
        (make_facts(cancels=(0,)), None, None, 0, Standing.STOPS),
        (make_facts(cancels=(0,), resumes=(0,)), None, None, 0, Standing.WAITS),
        (make_facts(is_owned=False), None, None, 0, Standing.ENDED),
        (make_facts(2), JobState.RUNNING, None, 59, Standing.RUNS),
        (make_facts(2), JobState.RUNNING, None, 61, Standing.LOST),
        (make_facts(2), JobState.RUNNING, "exit code 1", 0, Standing.LOST),
        (make_facts(2, cancels=(2,)), JobState.RUNNING, "exit code 1", 0, Standing.STOPS),
        (make_facts(2, cancels=(1,)), JobState.RUNNING, "exit code 1", 0, Standing.LOST),
        (make_facts(2, is_owned=False), JobState.RUNNING, None, 61, Standing.ENDED),
        (make_facts(2), JobState.SUCCEEDED, None, 61, Standing.ENDED),
        (make_facts(2, resumes=(2,)), JobState.SUCCEEDED, None, 61, Standing.ENDED),
        (make_facts(2), JobState.FAILED, None, 61, Standing.ENDED),
        (make_facts(2, resumes=(2,)), JobState.FAILED, None, 61, Standing.WAITS),
        (make_facts(2, resumes=(2,)), JobState.PARTIALLY_SUCCEEDED, None, 61, Standing.WAITS),
        (make_facts(2, resumes=(1,)), JobState.FAILED, None, 61, Standing.ENDED),
        (make_facts(2, resumes=(2,), cancels=(2,)), JobState.CANCELLED, None, 61, Standing.WAITS),
        (make_facts(2, resumes=(2,), cancels=(3,)), JobState.CANCELLED, None, 61, Standing.ENDED),
        (make_facts(2, resumes=(2,), is_owned=False), JobState.FAILED, None, 61, Standing.WAITS),
    ],
)
def test_how_a_job_stands(
    facts: JobFacts, state: JobState | None, runner_end: str | None, silent_s: float, standing: Standing
):
    record = replace(RECORD, attempt=facts.attempt, state=state) if state else None
    assert judge(facts, record, runner_end=runner_end, silent_s=silent_s, stale_s=60).standing is standing


def test_an_attempt_that_was_interrupted_goes_on_unless_it_was_asked_to_stop():
    record = replace(RECORD, attempt=2, state=JobState.CANCELLED, message="interrupted")
    assert judge(make_facts(2), record, stale_s=60).standing is Standing.LOST
    assert judge(make_facts(2, cancels=(2,)), record, stale_s=60).standing is Standing.ENDED


def test_a_request_to_stop_that_went_to_the_attempt_before_is_seen():
    running = replace(RECORD, attempt=2)
    assert is_cancel_left_behind(make_facts(2, cancels=(1,)), running)
    assert not is_cancel_left_behind(make_facts(2, cancels=(1,), resumes=(1,)), running)
    assert not is_cancel_left_behind(make_facts(2, cancels=(1, 2)), running)


@pytest.mark.parametrize(
    ("reached", "idle"),
    [([], 0), ([0], 1), ([5], 0), ([5, 5, 0], 2), ([5, 0, 5, 9], 0), ([5, 0, 5, 9, 3], 1)],
)
def test_attempts_that_got_no_further_than_any_before_are_counted(reached: list[int], idle: int):
    assert count_idle([replace(RECORD, progress=ProgressCounts(done=done)) for done in reached]) == idle


def test_interrupted_attempts_do_not_count():
    assert count_idle([RECORD, replace(RECORD, state=JobState.CANCELLED, message="interrupted")]) == 1


def test_a_job_that_waits_for_another_holds_up_nobody():
    jobs = [
        WaitingJob(id="a", kind="pretrain", submitted=1, attempt=0, after=("gone",)),
        WaitingJob(id="b", kind="mine", submitted=2, attempt=0),
        WaitingJob(id="c", kind="mine", submitted=3, attempt=0),
        WaitingJob(id="d", kind="pretrain", submitted=4, attempt=0, after=("done",)),
    ]
    states = {"gone": JobState.FAILED, "done": JobState.PARTIALLY_SUCCEEDED}
    plan = plan_queue(jobs, [], JobLimits(total=2, per_kind={"mine": 1}), states.get)
    assert [job.id for job in plan.start] == ["b", "d"]
    assert plan.reasons["a"].startswith("waits for job gone, which ended FAILED: resume that one, or cancel this one;")
    assert plan.reasons["c"].startswith("waits for a free place: 1 jobs of kind mine run, and at most 1 may;")


def test_after_a_gap_heartbeats_are_waited_for_and_others_go_first(tmp_path: Path):
    first, second = ReconcilerMark(LocalStore(tmp_path), 0.1), ReconcilerMark(LocalStore(tmp_path), 0.1)
    assert (first.look().is_leader, second.look().is_leader) == (True, False)
    time.sleep(0.15)
    moment = second.look()
    assert not moment.is_leader  # as it slept, too
    assert moment.since == moment.now
    assert second.look().is_leader
    assert not first.look().is_leader
    assert not first.look().is_leader


class CountingStore:
    """A store in memory that counts requests; a list answers with a thousand names."""

    uri, num_parallel_reads = "memory", 0

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.requests: Counter[str] = Counter()
        self.is_down = False

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._count("list")
        found = sorted(key for key in self.objects if key.startswith(prefix))
        for number, key in enumerate(found, 1):
            data, modified = self.objects[key]
            yield ObjectInfo(key, len(data), str(modified), modified)
            if number % 1000 == 0:
                self._count("list")

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        assert etag is None
        self._count("get")
        if key not in self.objects:
            raise ObjectMissingError(key)
        return self.objects[key][0]

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return self.get(key)[start:stop]

    def put(self, key: str, data: bytes | memoryview) -> None:
        self._count("put")
        self.objects[key] = bytes(data), time.time()

    def delete(self, key: str) -> None:
        self._count("delete")
        self.objects.pop(key, None)

    def _count(self, kind: str) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is down")
        self.requests[kind] += 1


class NoLauncher:
    """Starts nothing, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def start(self, job: str, attempt: int) -> Runner:
        self.asked.append((job, attempt))
        raise OSError("no more processes")


def put_job(store: CountingStore, job: str, state: JobState | None) -> None:
    owner = {"owner": "somebody", "kind": "mine", "created": "", "after": []}
    store.put(f"jobs/{job}/owner.json", json.dumps(owner).encode())
    store.put(f"jobs/{job}/spec.json", MineSpec(source=("photos",), out="labels").to_json().encode())
    if state:
        record = replace(RECORD, job=job, state=state)
        store.put(f"jobs/{job}/attempts/0001-ab/record.json", record.to_json().encode())


def test_ten_thousand_jobs_that_have_ended_are_read_once_and_a_pass_costs_few_requests():
    store, launcher = CountingStore(), NoLauncher()
    for number in range(NUM_JOBS):
        put_job(store, f"mine-{number:05d}", JobState.SUCCEEDED)
    reconciler = Reconciler(JobStore(store), launcher, ReconcilerOptions(survey_s=0.0))
    store.requests.clear()
    reconciler.step()
    assert store.requests["get"] < NUM_JOBS + 10
    store.requests.clear()
    reconciler.step()
    assert (store.requests["list"], store.requests["get"], store.requests["put"]) == (1, 0, 1)
    put_job(store, "new", None)
    reconciler._survey_due = 0.0  # as after a while
    store.requests.clear()
    reconciler.step()
    assert launcher.asked == [("new", 1)]
    assert store.requests["list"] < 3 * NUM_JOBS / 1000 + 10
    assert store.requests["get"] < 10


def test_a_damaged_record_or_spec_does_not_keep_other_jobs_waiting():
    store, launcher = CountingStore(), NoLauncher()
    put_job(store, "a", JobState.RUNNING)
    store.put("jobs/a/attempts/0001-ab/record.json", b"{")
    put_job(store, "b", None)
    store.put("jobs/b/spec.json", b'{"kind": "dance"}')
    put_job(store, "c", None)
    reconciler = Reconciler(JobStore(store), launcher)
    reconciler.step()
    reconciler.step()
    assert launcher.asked == [("c", 1)]


def test_a_store_that_was_down_makes_no_runner_look_lost():
    store, launcher = CountingStore(), NoLauncher()
    put_job(store, "a", JobState.RUNNING)
    reconciler = Reconciler(JobStore(store), launcher, ReconcilerOptions(stale_s=0.5, lease_s=0.2, survey_s=0.0))
    reconciler.step()
    store.is_down = True
    with pytest.raises(StoreUnavailableError):
        reconciler.step()
    time.sleep(0.6)
    store.is_down = False
    reconciler.step()
    reconciler.step()
    assert launcher.asked == []
    deadline = time.monotonic() + 5
    while not launcher.asked and time.monotonic() < deadline:
        reconciler.step()
        time.sleep(0.05)
    assert launcher.asked == [("a", 2)]


def test_where_no_runner_can_be_started_the_job_is_given_up_with_the_reason():
    store, launcher = CountingStore(), NoLauncher()
    put_job(store, "a", None)
    reconciler = Reconciler(JobStore(store), launcher, ReconcilerOptions(retry_pause_s=0.0, max_idle=3))
    for _ in range(10):
        reconciler.step()
    record = JobStore(store).read_record("a")
    assert record is not None
    assert (record.state, launcher.asked) == (JobState.FAILED, [("a", 1)] * 3)
    assert "no runner could be started: no more processes" in (record.message or "")
