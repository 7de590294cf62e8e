"""Jobs that have trained or measured a model, with what they have written, and without training anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from dap_core.detectors import Detector, save_checkpoint
from dap_core.stores import LocalStore
from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from tests.detector_builders import make_tiny_detector
from tests.job_api_builders import JobPlace, succeed

Work = Callable[[Any, JobContext], Outcome]
Headers = dict[str, str] | None


def submit(client: httpx.Client, spec: Any, headers: Headers = None) -> str:
    """A new job."""
    answer = client.post("/v1/jobs", json=spec, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@cache
def make_known_detector(seed: int = 0) -> Detector:
    """A tiny detector of three classes, made once."""
    return make_tiny_detector(seed=seed)


def write_detector(place: str, seed: int = 0) -> str:
    """A tiny detector where a job writes; gives the sha256 of its tensors."""
    recipe = {"name": "finetune-laptop", "augment.short_sides": [96]}
    return save_checkpoint(LocalStore(place), "", make_known_detector(seed), step=7, recipe=recipe)


def run(client: httpx.Client, place: JobPlace, job: str, work: Work = succeed, headers: Headers = None) -> None:
    """Runs a job here; the service knows by then, which looks for itself only every second."""
    place.run(job, work)
    assert client.get(f"/v1/jobs/{job}", headers=headers).status_code == 200


def make_finetune(place: JobPlace, out: str, **fields: Any) -> dict[str, Any]:
    """A job that fine-tunes the bundled classifier."""
    start = {} if "checkpoint" in fields else {"classifier": "lite0"}
    drawn = {"data": str(place.data / "drawn.json"), "out": str(place.data / out)}
    return {"kind": "finetune", **drawn, **start, **fields}


def add_detector(
    client: httpx.Client, place: JobPlace, out: str = "tuned", headers: Headers = None, **fields: Any
) -> str:
    """A finished job that has made a tiny detector."""
    spec = make_finetune(place, out, **fields)
    job = submit(client, spec, headers)
    write_detector(spec["out"])
    run(client, place, job, headers=headers)
    return job


def add_evaluation(
    client: httpx.Client, place: JobPlace, out: str, tensors_sha256: str, ap: float, headers: Headers = None
) -> str:
    """A finished job that has measured the detector in a place."""
    spec = {"kind": "evaluate", "detector": str(place.data / out), "data": str(place.data / "test.json")}
    job = submit(client, spec, headers)
    result = {"coco": {"ap": ap, "ap50": 2 * ap}, "checkpoint_sha256": tensors_sha256}
    run(client, place, job, lambda *_: Outcome(JobState.SUCCEEDED, result), headers)
    return job
