"""Reconcilers and runners in processes of their own, quick enough for tests, and real mine jobs for them."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import timm  # noqa: F401 - for the process that is forked
import torch

from dap_core.label_sets import open_label_set, verify_label_set
from dap_core.stores import LocalStore, Store
from services.jobs import mining
from services.jobs.attempting import run_attempt
from services.jobs.job_store import JobStore
from services.jobs.launchers import RunnerEnd
from services.jobs.ownership import Caller, Ownership, put_ownership
from services.jobs.queueing import JobLimits
from services.jobs.reconciling import Reconciler, ReconcilerOptions
from services.jobs.records import JobRecord, JobState
from services.jobs.specs import MineSpec
from tests.detector_builders import TINY

BEAT_S, STALE_S = 0.1, 4.0
"""Of runners, and for tests of those that fall silent."""
OPTIONS = ReconcilerOptions(
    stale_s=10.0, lease_s=1.0, retry_pause_s=0.05, survey_s=0.05, pass_s=0.02, max_idle=3, limits=JobLimits(total=2)
)
DIE = "die"
"""A pause that is none: the runner kills itself when its job begins."""


def make_mine_spec(images: Path | str, out: Path | str) -> MineSpec:
    """Mining with a tiny network of random weights, in shards of two images."""
    fields: dict[str, Any] = {"source": (str(images),), "out": str(out), "labels": ("goldfish",), "shard_images": 2}
    return MineSpec(classifier=TINY, weights="random", engine="torch", precision="float32", short_sides=(64,), **fields)


def submit(jobs: JobStore, spec: MineSpec, job: str, after: tuple[str, ...] = ()) -> str:
    """Submits a job as a service does."""
    put_ownership(jobs.store, job, Ownership.of(Caller("somebody"), spec.kind, after))
    return jobs.submit(spec, job)


def ask_resume(jobs: JobStore, job: str) -> None:
    """Asks for another attempt, as the service does."""
    record = jobs.read_record(job)
    assert record is not None
    jobs.store.put(f"jobs/{job}/resume/{record.attempt:04d}", b"")


@dataclass
class ForkLauncher:
    """Runners in forks of a process that has done the imports; each shard of two images takes `pause_s` more."""

    store: Store
    pause_s: float | str = 0.0
    runners: list[ForkRunner] = field(default_factory=list)
    attempts: list[tuple[str, int]] = field(default_factory=list)
    """What was started, in order."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, job: str, attempt: int) -> ForkRunner:
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        arguments = (self.store.uri, job, self.pause_s, dict(self.environment))
        process = context.Process(target=_run, args=arguments, daemon=False)  # a shard may need a child of its own
        process.start()
        self.runners.append(ForkRunner(process))
        self.attempts.append((job, attempt))
        return self.runners[-1]


@dataclass
class ForkRunner:
    """A fork that runs an attempt."""

    process: BaseProcess

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> RunnerEnd | None:
        code = self.process.exitcode
        return None if code is None else RunnerEnd(code, f"code {code}")

    def explain_waiting(self) -> None:
        pass

    def owns(self, record: JobRecord) -> bool:
        return (record.pid, record.host) == (self.pid, socket.gethostname())

    def stop(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


def _run(root: str, job: str, pause_s: float | str, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    prepare_mining(pause_s)
    sys.exit(int(run_attempt(root, job, heartbeat_s=BEAT_S)))


def prepare_mining(pause_s: float | str) -> None:
    """Has this process take its time after each shard."""
    commit = mining.MiningCounts.commit_shard

    def commit_slowly(self: Any, entry: Any) -> None:
        commit(self, entry)
        time.sleep(float(pause_s))

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if pause_s == DIE:
        mining.open_labelled_source = die  # type: ignore[attr-defined, assignment]
    else:
        mining.MiningCounts.commit_shard = commit_slowly  # type: ignore[method-assign]


@dataclass
class World:
    """A store of jobs, pictures, a launcher and a reconciler."""

    jobs: JobStore
    launcher: ForkLauncher
    folder: Path
    pictures: Path
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.begin_reconciler()

    def begin_reconciler(self, **changes: Any) -> None:
        """A new reconciler, as after a restart."""
        self.reconciler = Reconciler(self.jobs, self.launcher, replace(OPTIONS, **changes))

    def submit(self, job: str, after: tuple[str, ...] = ()) -> Path:
        """Submits a mine job from folder to folder; where its label set will be."""
        out = self.folder / f"{job}-labels"
        submit(self.jobs, make_mine_spec(self.pictures, out), job, after)
        return out

    def step_until(self, is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Makes passes until something is so."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < deadline, "it did not come to that in time"
            self.reconciler.step()
            time.sleep(0.03)

    def has_state(self, job: str, state: JobState, attempt: int | None = None) -> bool:
        record = self.jobs.read_record(job)
        return record is not None and record.state == state and attempt in (None, record.attempt)

    def step_to(self, job: str, state: JobState, attempt: int | None = None) -> JobRecord:
        """Makes passes until a job has a state; its record."""
        self.step_until(lambda: self.has_state(job, state, attempt))
        record = self.jobs.read_record(job)
        assert record is not None
        return record

    def step_to_shards(self, out: Path, number: int) -> None:
        """Makes passes until so many shards are committed."""
        self.step_until(lambda: count_shards(out) >= number)

    def close(self) -> None:
        """Ends what was started."""
        for runner in self.launcher.runners:
            runner.kill()


def make_world(folder: Path, pictures: Path, pause_s: float | str = 0.0) -> World:
    jobs = JobStore(LocalStore(folder / "root"))
    return World(jobs, ForkLauncher(jobs.store, pause_s), folder, pictures)


def count_shards(out: Path) -> int:
    return len(list(out.glob("data/*.parquet")))


def check_equal(out: Path, calm: Path) -> None:
    """A label set is whole, and that of a run that nothing happened to; no object is left over."""
    found, expected = open_label_set(out), open_label_set(calm)
    assert verify_label_set(found) == []
    assert [entry.data for entry in found.shards] == [entry.data for entry in expected.shards]
    assert found.manifest.counts == expected.manifest.counts
    assert count_shards(out) == count_shards(calm)


def list_objects(jobs: JobStore, job: str, attempt: str) -> set[str]:
    """The keys of all objects of one attempt."""
    return {info.key for info in jobs.store.list_objects(f"jobs/{job}/attempts/{attempt}/")}


def check_silent_since(jobs: JobStore, job: str, attempt: str, before: set[str], moment: str) -> None:
    """An attempt put nothing since a moment (ISO 8601) but the record it was just writing then."""
    assert list_objects(jobs, job, attempt) == before
    key = f"jobs/{job}/attempts/{attempt}/record.json"
    record = JobRecord.from_json(jobs.store.get(key), key)
    assert (record.state, record.ended) == (JobState.RUNNING, None)
    assert record.updated < moment
