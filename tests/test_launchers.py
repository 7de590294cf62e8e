"""What a runner prints can be read while it runs, also where the store is no folder of this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from dap_core.stores import LocalStore, SubStore
from services.jobs import launchers
from services.jobs.attempting import AttemptExit, run_attempt
from services.jobs.job_store import JobStore
from services.jobs.launchers import ProcessLauncher
from services.jobs.specs import MineSpec

PROGRAM = "import time; print('first', flush=True); time.sleep(1); print('second', flush=True); time.sleep(60)"


def test_the_log_of_a_runner_grows_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launchers, "LOG_EVERY_S", 0.1)
    store = SubStore(LocalStore(tmp_path / "store"), "root")
    launcher = ProcessLauncher(store, log_folder=tmp_path / "logs", command=(sys.executable, "-c", PROGRAM))
    runner = launcher.start("job", 1)
    seen: list[str] = []
    deadline = time.monotonic() + 30
    while (not seen or "second" not in seen[-1]) and time.monotonic() < deadline:
        assert runner.poll() is None
        seen += [store.get(one.key).decode() for one in store.list_objects("jobs/job/logs/")]
        time.sleep(0.05)
    runner.kill()
    end = runner.poll()
    assert (seen[0], seen[-1]) == ("first\n", "first\nsecond\n")
    assert end is not None
    assert end.reason == "signal SIGKILL: second"


def test_who_was_started_for_another_attempt_than_the_next_runs_none(tmp_path: Path):
    jobs = JobStore(LocalStore(tmp_path))
    job = jobs.submit(MineSpec(source=("/photos",), out="/labels"))
    assert run_attempt(str(tmp_path), job, number=2) == AttemptExit.SUPERSEDED
    assert jobs.read_record(job) is None
