"""Training jobs in operating-system processes of their own, which a test can kill."""

from __future__ import annotations

import os
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from services.jobs.job_store import JobStore
from services.jobs.kinds import find_runner
from services.jobs.records import JobRecord
from services.jobs.runner import run_job
from services.jobs.specs import JobSpec
from services.jobs.training_specs import PretrainSpec
from services.storage import open_store
from tests.detector_builders import TINY

CHANGES = {
    "batch_size": "2",
    "augment.short_sides": "64",
    "warmup_steps": "2",
    "milestones": "",
    "precision": "float32",
}
"""Of pretrain-laptop: steps of a moment each."""


def make_spec(label_set: Path, out: Path, num_steps: int, **fields: object) -> PretrainSpec:
    """A small pre-training on a label set."""
    changes = {**CHANGES, "num_steps": str(num_steps)}
    values = {"label_set": str(label_set), "out": str(out), "changes": changes, "decoders": 0, "save_every": 4}
    return PretrainSpec.model_validate({**values, "classifier": TINY, "weights": "random", **fields})


def run_here(spec: JobSpec) -> JobRecord:
    """Runs a job in this process; its record goes to the folder of the tests."""
    jobs = JobStore(open_store(str(Path(os.environ["XDG_STATE_HOME"]) / "jobs")))
    return run_job(jobs, jobs.submit(spec), find_runner(spec))


def start_driver(root: Path, job: str) -> BaseProcess:
    """A process that runs the next attempt of a job; its imports are done before it starts."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "services.jobs.detector_training"])
    process = context.Process(target=_run, args=(root, job), daemon=False)
    process.start()
    return process


def wait_for_state(out: Path, after: int = 0, timeout_s: float = 60.0) -> int:
    """The step of the newest state, once there is one past `after`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        steps = [int(path.parent.name[:9]) for path in out.glob("states/*/state.json")]
        if steps and max(steps) > after:
            return max(steps)
        time.sleep(0.02)
    raise TimeoutError(f"no state past step {after} in {out}")


def wait_for_half_state(out: Path, timeout_s: float = 60.0) -> Path:
    """The folder of a state of which a part is written, and what makes it complete is not."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for folder in (out / "states").glob("*"):
            if (folder / "model.safetensors").exists() and not (folder / "state.json").exists():
                return folder
    raise TimeoutError(f"no state was seen half written in {out}")


def _run(root: Path, job: str) -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    torch.set_num_threads(1)
    jobs = JobStore(open_store(str(root)))
    run_job(jobs, job, find_runner(jobs.read_spec(job)), heartbeat_s=0.5)
