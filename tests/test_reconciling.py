"""Jobs get run whoever dies: real mine jobs in processes that are killed, suspended, stopped and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dap_core.label_sets import open_label_set, verify_label_set
from dap_core.stores import LocalStore, SubStore
from services.jobs.context import format_now
from services.jobs.job_store import JobStore
from services.jobs.launchers import ProcessLauncher
from services.jobs.queueing import JobLimits
from services.jobs.reconciling import Reconciler
from services.jobs.records import JobState
from tests.mining_builders import write_colour_folder
from tests.reconciler_builders import (
    DIE,
    OPTIONS,
    STALE_S,
    ForkLauncher,
    World,
    ask_resume,
    check_equal,
    check_silent_since,
    count_shards,
    list_objects,
    make_mine_spec,
    make_world,
    submit,
)
from tests.s3_servers import S3_ENVIRONMENT, S3Server
from tests.waiting import wait_until

NUM_IMAGES, PAUSE_S = 16, 0.15
NUM_SHARDS = NUM_IMAGES // 2
MakeWorld = Callable[..., World]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_folder(tmp_path_factory.mktemp("pictures") / "images", NUM_IMAGES)


@pytest.fixture
def begin(tmp_path: Path, pictures: Path) -> Iterator[MakeWorld]:
    """Makes worlds whose processes are ended afterwards."""
    made: list[World] = []

    def make(pause_s: float | str = PAUSE_S) -> World:
        made.append(make_world(tmp_path, pictures, pause_s))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The label set of a job that nothing happens to."""
    world = make_world(tmp_path_factory.mktemp("calm"), pictures)
    out = world.submit("calm")
    record = world.step_to("calm", JobState.SUCCEEDED)
    assert (record.attempt, count_shards(out)) == (1, NUM_SHARDS)
    return out


def list_attempts(jobs: JobStore, job: str) -> list[str]:
    keys = [info.key for info in jobs.store.list_objects(f"jobs/{job}/attempts/")]
    return sorted(key.split("/")[3] for key in keys if key.endswith("record.json"))


def read_queue(world: World) -> dict[str, str]:
    values: dict[str, str] = json.loads(world.jobs.store.get("reconciler/queue.json"))
    return values


def test_a_killed_runner_is_followed_by_another_and_nothing_is_lost_or_doubled(begin: MakeWorld, calm: Path):
    world = begin()
    out = world.submit("mine-1")
    world.step_to_shards(out, 3)
    world.launcher.runners[0].kill()
    assert count_shards(out) < NUM_SHARDS
    record = world.step_to("mine-1", JobState.SUCCEEDED)
    assert (record.attempt, record.progress.done) == (2, NUM_IMAGES)
    check_equal(out, calm)
    assert len(list_attempts(world.jobs, "mine-1")) == 2
    states = [
        (one.id.partition(".")[0], one.values["state"])
        for one in world.jobs.read_events("mine-1")
        if one.kind == "state"
    ]
    assert states == [("1", "RUNNING"), ("2", "RUNNING"), ("2", "SUCCEEDED")]


def test_a_suspended_runner_is_killed_and_taken_over(begin: MakeWorld, calm: Path):
    world = begin()
    world.begin_reconciler(stale_s=STALE_S)
    out = world.submit("mine-1")
    world.step_to_shards(out, 2)
    world.launcher.runners[0].send(signal.SIGSTOP)
    suspended = time.monotonic()
    world.step_until(lambda: len(world.launcher.runners) == 2)
    assert time.monotonic() - suspended < STALE_S + 2
    assert world.launcher.runners[0].poll() is not None
    assert world.step_to("mine-1", JobState.SUCCEEDED).attempt == 2
    check_equal(out, calm)


def test_a_runner_that_wakes_up_after_it_was_taken_over_writes_nothing_more(begin: MakeWorld, calm: Path):
    world = begin()
    out = world.submit("mine-1")
    world.step_to_shards(out, 2)
    world.begin_reconciler(stale_s=STALE_S)  # one that cannot kill it
    world.step_until(lambda: world.reconciler.is_leader)
    first = world.launcher.runners[0]
    first.send(signal.SIGSTOP)
    [name] = list_attempts(world.jobs, "mine-1")
    before = list_objects(world.jobs, "mine-1", name)
    world.step_until(lambda: len(world.launcher.runners) == 2)
    world.step_to("mine-1", JobState.RUNNING, attempt=2)
    woken = format_now()
    first.send(signal.SIGCONT)
    record = world.step_to("mine-1", JobState.SUCCEEDED)
    world.step_until(lambda: first.poll() is not None)
    assert record.attempt == 2
    check_silent_since(world.jobs, "mine-1", name, before, woken)
    check_equal(out, calm)


def test_a_reconciler_that_starts_again_adopts_what_runs_and_starts_nothing_twice(begin: MakeWorld, calm: Path):
    world = begin()
    outs = [world.submit("mine-1"), world.submit("mine-2")]
    world.step_until(lambda: len(world.launcher.runners) == 2)  # that have written no record yet
    world.begin_reconciler()
    for job in ("mine-1", "mine-2"):
        assert world.step_to(job, JobState.SUCCEEDED).attempt == 1
    assert len(world.launcher.runners) == 2
    for out in outs:
        check_equal(out, calm)


def test_two_runners_of_one_job_leave_one_label_set_and_the_lower_one_stops(begin: MakeWorld, calm: Path):
    world = begin()
    out = world.submit("mine-1")
    two = [world.launcher.start("mine-1", 1) for _ in range(2)]
    for runner in two:
        runner.process.join(60)
    assert sorted(runner.process.exitcode or 0 for runner in two) == [0, 6]
    check_equal(out, calm)
    record = world.jobs.read_record("mine-1")
    assert record is not None
    assert record.state == JobState.SUCCEEDED


def test_of_two_reconcilers_one_acts_and_the_other_takes_its_turn(begin: MakeWorld, calm: Path):
    world = begin()
    first, out = world.reconciler, world.submit("mine-1")
    world.begin_reconciler(stale_s=STALE_S)
    second = world.reconciler
    for _ in range(3):
        first.step()
        second.step()
    assert (first.is_leader, second.is_leader, len(world.launcher.runners)) == (True, False, 1)
    world.step_to_shards(out, 2)  # the first one looks no more
    world.launcher.runners[0].kill()
    assert world.step_to("mine-1", JobState.SUCCEEDED).attempt == 2
    assert second.is_leader
    check_equal(out, calm)


def test_limits_hold_and_those_that_wait_are_told_why_in_order_of_submission(begin: MakeWorld):
    world = begin(0.05)
    world.begin_reconciler(limits=JobLimits(total=2, per_kind={"mine": 1}))
    for number in (3, 1, 2):
        world.submit(f"mine-{number}")
        time.sleep(0.02)
    world.submit("mine-4", after=("mine-2", "mine-9"))
    world.step_until(lambda: bool(world.launcher.runners))
    reason = "waits for a free place: 1 jobs of kind mine run, and at most 1 may; place"
    assert read_queue(world) == {
        "mine-1": f"{reason} 1 in the queue",
        "mine-2": f"{reason} 2 in the queue",
        "mine-4": "waits for job mine-2, which is QUEUED; place 3 in the queue",
    }
    world.step_to("mine-2", JobState.SUCCEEDED)
    assert world.launcher.attempts == [("mine-3", 1), ("mine-1", 1), ("mine-2", 1)]
    world.step_until(lambda: "mine-9" in read_queue(world)["mine-4"])
    assert read_queue(world) == {"mine-4": "waits for job mine-9, which is not there; place 1 in the queue"}


def test_a_job_cancelled_before_it_began_is_never_started_until_it_is_resumed(begin: MakeWorld):
    world = begin(0.0)
    world.submit("mine-1")
    world.jobs.request_cancel("mine-1")
    record = world.step_to("mine-1", JobState.CANCELLED)
    assert (record.attempt, record.message, world.launcher.attempts) == (1, "it was asked to stop before it began", [])
    ask_resume(world.jobs, "mine-1")
    assert world.step_to("mine-1", JobState.SUCCEEDED).attempt == 2


def test_a_job_cancelled_under_way_stops_and_goes_on_when_it_is_resumed(begin: MakeWorld, calm: Path):
    world = begin()
    out = world.submit("mine-1")
    world.step_to_shards(out, 2)
    world.jobs.request_cancel("mine-1")
    asked = time.monotonic()
    record = world.step_to("mine-1", JobState.CANCELLED)
    assert time.monotonic() - asked < 10
    assert (record.message, open_label_set(out, allow_partial=True).manifest.state) == (
        "it was asked to stop",
        "partial",
    )
    deadline = time.monotonic() + 0.5
    world.step_until(lambda: time.monotonic() > deadline)
    assert len(world.launcher.runners) == 1
    ask_resume(world.jobs, "mine-1")
    assert world.step_to("mine-1", JobState.SUCCEEDED).attempt == 2
    check_equal(out, calm)


def test_a_job_whose_runner_is_gone_when_it_is_cancelled_is_cancelled_all_the_same(begin: MakeWorld):
    world = begin()
    world.begin_reconciler(stale_s=STALE_S)
    out = world.submit("mine-1")
    world.step_to_shards(out, 1)
    world.launcher.runners[0].send(signal.SIGSTOP)
    world.jobs.request_cancel("mine-1")
    record = world.step_to("mine-1", JobState.CANCELLED)
    assert (record.attempt, len(world.launcher.runners)) == (2, 1)
    assert "its runner was gone" in (record.message or "")


def test_runners_that_are_told_to_stop_by_their_machine_go_on_later(begin: MakeWorld, calm: Path):
    world = begin()
    out = world.submit("mine-1")
    world.step_to_shards(out, 2)
    world.reconciler.stop_runners()
    assert world.launcher.runners[0].process.exitcode == 130
    assert world.has_state("mine-1", JobState.CANCELLED, 1)
    world.begin_reconciler()
    assert world.step_to("mine-1", JobState.SUCCEEDED).attempt == 2
    check_equal(out, calm)


def test_a_job_that_dies_whenever_it_begins_is_given_up_with_the_reason(begin: MakeWorld):
    world = begin(DIE)
    world.submit("mine-1")
    record = world.step_to("mine-1", JobState.FAILED)
    assert (record.attempt, record.error_type, len(world.launcher.runners)) == (4, "runner-lost", OPTIONS.max_idle)
    assert "lost 3 times in a row without getting further, the last time: code -9" in (record.message or "")
    ask_resume(world.jobs, "mine-1")
    world.launcher.pause_s = 0.0
    assert world.step_to("mine-1", JobState.SUCCEEDED).attempt == 5


def test_a_runner_that_cannot_even_begin_is_given_up_with_what_it_printed_last(tmp_path: Path, pictures: Path):
    jobs = JobStore(LocalStore(tmp_path / "root"))
    program = "print('so it began'); raise SystemExit('no such module')"
    launcher = ProcessLauncher(jobs.store, command=(sys.executable, "-c", program))
    reconciler = Reconciler(jobs, launcher, OPTIONS)
    submit(jobs, make_mine_spec(pictures, tmp_path / "labels"), "mine-1")
    while (record := jobs.read_record("mine-1")) is None:
        reconciler.step()
        time.sleep(0.02)
    assert (record.state, record.attempt) == (JobState.FAILED, 1)
    assert "lost 3 times" in (record.message or "")
    assert "exit code 1: no such module" in (record.message or "")
    logs = sorted((tmp_path / "root" / "jobs" / "mine-1" / "logs").glob("*.log"))
    assert [log.read_text() for log in logs] == ["so it began\nno such module\n"] * 3


def test_a_job_that_a_command_runs_itself_is_left_alone(begin: MakeWorld, tmp_path: Path, pictures: Path):
    world = begin()
    world.jobs.submit(make_mine_spec(pictures, tmp_path / "labels"), "mine-1")
    deadline = time.monotonic() + 0.3
    world.step_until(lambda: time.monotonic() > deadline)
    assert world.launcher.attempts == []


def test_runners_outlive_a_reconciler_that_is_killed_and_the_next_one_adopts_them(tmp_path: Path, pictures: Path):
    """All in processes of their own, as they are in a service."""
    jobs, out = JobStore(LocalStore(tmp_path / "root")), tmp_path / "labels"
    submit(jobs, make_mine_spec(pictures, out), "mine-1")
    program = [sys.executable, "-m", "tests.reconciler_process", str(tmp_path / "root")]
    first = subprocess.Popen(program)
    wait_until(lambda: jobs.read_record("mine-1") is not None, 90)
    first.kill()
    first.wait()
    second = subprocess.Popen(program)
    try:
        wait_until(lambda: has_ended(jobs, "mine-1"), 90)
    finally:
        second.terminate()
        second.wait(30)
    assert not list(jobs.store.list_objects("reconciler/marks/"))[1:]  # the one that was killed left its own
    record = jobs.read_record("mine-1")
    assert record is not None
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)
    assert open_label_set(out).manifest.state == "complete"


@pytest.fixture
def bucket(servers: dict[str, S3Server], begin: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose jobs are kept in the bucket of a server that ignores If-None-Match."""
    world, server = begin(), servers["juicefs"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    world.jobs = JobStore(server.make_store("root"))
    world.launcher = ForkLauncher(
        world.jobs.store, PAUSE_S, environment={**S3_ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}
    )
    world.begin_reconciler()
    return world


@pytest.mark.soak
def test_in_a_bucket_a_runner_is_killed_and_another_sleeps_and_the_third_one_ends_the_job(bucket: World):
    store = bucket.jobs.store
    images, labels = SubStore(store, "images"), SubStore(store, "labels")
    for path in sorted(bucket.pictures.rglob("*.png")):
        images.put(path.relative_to(bucket.pictures).as_posix(), path.read_bytes())
    submit(bucket.jobs, make_mine_spec(images.uri, labels.uri), "mine-1")
    bucket.step_until(lambda: len(list(labels.list_objects("data/"))) >= 1)
    bucket.launcher.runners[0].kill()
    bucket.step_until(lambda: len(list(labels.list_objects("data/"))) >= 3)
    bucket.begin_reconciler(stale_s=2 * STALE_S)
    bucket.step_until(lambda: bucket.reconciler.is_leader)
    second, name = bucket.launcher.runners[1], list_attempts(bucket.jobs, "mine-1")[-1]
    second.send(signal.SIGSTOP)
    before = list_objects(bucket.jobs, "mine-1", name)
    bucket.step_to("mine-1", JobState.RUNNING, attempt=3)
    woken = format_now()
    second.send(signal.SIGCONT)
    record = bucket.step_to("mine-1", JobState.SUCCEEDED)
    bucket.step_until(lambda: second.poll() is not None)
    assert (record.attempt, record.progress.done) == (3, NUM_IMAGES)
    check_silent_since(bucket.jobs, "mine-1", name, before, woken)
    found = open_label_set(labels)
    assert (verify_label_set(found), found.manifest.counts.num_ok) == ([], NUM_IMAGES)
    assert len(list(labels.list_objects("data/"))) == NUM_SHARDS


def has_ended(jobs: JobStore, job: str) -> bool:
    record = jobs.read_record(job)
    return record is not None and record.state is not JobState.RUNNING
