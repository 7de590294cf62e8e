"""A dry run over HTTP says what a job would do, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from tests.bucket_services import MODEL
from tests.job_api_builders import JobPlace, make_job_place
from tests.mining_builders import write_colour_folder


@pytest.fixture
def place(tmp_path: Path) -> JobPlace:
    made = make_job_place(tmp_path)
    write_colour_folder(made.data / "photos", 6)
    return made


def plan(client: httpx.Client, *specs: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/v1/jobs:plan", json=list(specs))
    assert answer.status_code == 200, answer.text
    jobs: list[dict[str, Any]] = answer.json()["jobs"]
    return jobs


def test_images_and_shards_of_mining_are_counted_and_nothing_is_written(client: httpx.Client, place: JobPlace):
    [mine] = plan(client, place.make_mine(labels=["goldfish"], shard_images=2, **MODEL))
    assert mine["refusal"] is None
    assert (mine["estimate"]["images"], mine["estimate"]["shards"]) == (6, 3)
    assert mine["estimate"]["top_labels"] == [{"label": "goldfish", "images": 6}]
    assert list(place.jobs.list_jobs()) == []
    assert not (place.data / "labels").exists()


def test_labels_that_nobody_knows_are_told_before(client: httpx.Client, place: JobPlace):
    [mine] = plan(client, place.make_mine(labels=["no such thing"], **MODEL))
    assert mine["refusal"].startswith("6 of 6 labelled images (100.0%) have a label that the classifier does not know")
    assert mine["estimate"]["unknown_labels"]["first"][0]["label"] == "no such thing"
    [gone] = plan(client, place.make_mine(source=[str(place.data / "nowhere")], **MODEL))
    assert "nowhere" in gone["refusal"]


def test_training_has_its_steps_and_a_rough_time(client: httpx.Client, place: JobPlace):
    places = {"label_set": str(place.data / "labels"), "out": str(place.data / "made")}
    train = {"kind": "pretrain", **places, **MODEL}
    long, short = ({**train, "changes": {"num_steps": steps, "milestones": ""}} for steps in ("400", "100"))
    for spec, steps in ((long, 400), (short, 100)):
        [pretrain] = plan(client, spec)
        assert (pretrain["estimate"]["steps"], pretrain["refusal"]) == (steps, None)
        assert pretrain["estimate"]["images_shown"] == 8 * steps
        assert pretrain["estimate"]["seconds"] == pytest.approx(0.6 * steps, rel=0.2)
    [wrong] = plan(client, {**train, "changes": {"num_stops": "4"}})
    assert "num_stops" in wrong["refusal"]


def test_mining_takes_as_long_as_the_last_job_with_the_same_network_took(client: httpx.Client, place: JobPlace):
    made = {"mined_now": 40, "images_per_s": 4.0, "start_up_s": 2.0}
    spec = place.make_mine(labels=["goldfish"], **MODEL)
    assert "seconds" not in plan(client, spec)[0]["estimate"]
    job = client.post("/v1/jobs", json=place.make_mine("first", labels=["goldfish"], **MODEL)).json()["id"]
    place.run(job, lambda _spec, _context: Outcome(JobState.SUCCEEDED, made))
    other_size = {**spec, "short_sides": [96], "out": str(place.data / "other")}
    [same, other] = plan(client, {**spec, "nms_iou": 0.7}, other_size)
    assert same["estimate"]["seconds"] == 2.0 + 6 / 4.0
    assert job in same["estimate"]["time_source"]
    assert "seconds" not in other["estimate"]
