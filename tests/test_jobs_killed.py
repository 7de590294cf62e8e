"""Services, runners, Ray heads and whole machines are killed while jobs are under way; every job goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dap_client import Job

from services.jobs.job_store import JobStore
from tests.bucket_services import Services, make_services
from tests.s3_servers import S3Server

NUM_IMAGES, SHARD_IMAGES = 120, 4
NUM_STEPS = 240


@pytest.fixture
def services(servers: dict[str, S3Server], tmp_path: Path) -> Iterator[Services]:
    with make_services(servers["juicefs"], tmp_path) as made:
        made.put_pictures(NUM_IMAGES)
        yield made


def make_mine(services: Services, **fields: Any) -> dict[str, Any]:
    return services.make_mine("labels", shard_images=SHARD_IMAGES, **fields)


def make_pretrain(services: Services, **fields: Any) -> dict[str, Any]:
    return services.make_pretrain("labels", "pretrained", NUM_STEPS, **fields)


def check_labels(services: Services) -> None:
    services.check_labels("labels", NUM_IMAGES, NUM_IMAGES // SHARD_IMAGES)


def check_history(services: Services, job: Job, num_attempts: int) -> None:
    """Each attempt is still there with its events."""
    attempts = {int(event.id.partition(".")[0]) for event in JobStore(services.store).read_events(job.id)}
    assert attempts == set(range(1, num_attempts + 1))


def test_a_mine_job_goes_on_when_its_runner_and_then_a_service_are_killed(services: Services):
    client = services.start()
    job = client.jobs.submit(make_mine(services))
    services.wait_for_more(out := services.place("labels"), than=0)
    services.signal_runner(job)
    services.wait_for_more(out)
    services.kill_service(0)
    services.wait_for_more(out)
    assert job.wait(timeout_s=120).state == "SUCCEEDED", job.values
    assert job.values["attempt"] == 2, "the service that was left went on with the runner that was there"
    check_labels(services)
    check_history(services, job, 2)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["mine", "pretrain"])
def test_a_job_goes_on_after_any_kill(services: Services, kind: str):
    client = services.start()
    job = client.jobs.submit(make_mine(services))
    if kind == "pretrain":
        assert job.wait(timeout_s=120).state == "SUCCEEDED", job.values
        job = client.jobs.submit(make_pretrain(services))
    out = services.place("labels" if kind == "mine" else "pretrained")
    services.wait_for_more(out, than=0)
    services.signal_runner(job)
    services.wait_for_more(out)
    services.kill_service(0)
    services.wait_for_more(out)
    services.kill_machine()
    done = services.count_done(out)
    job = services.start().jobs.get(job.id)
    services.wait_for_more(out, than=done)
    assert job.wait(timeout_s=240).state == "SUCCEEDED", job.values
    if kind == "mine":
        check_labels(services)
    else:
        services.check_metrics("pretrained", NUM_STEPS)
    check_history(services, job, job.values["attempt"])
    assert job.values["attempt"] == 3


@pytest.mark.soak
@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["mine", "pretrain"])
def test_a_job_on_ray_goes_on_when_the_head_is_killed(services: Services, kind: str):
    client = services.start()
    job = client.jobs.submit(make_mine(services, labelers=2 if kind == "mine" else None))
    if kind == "pretrain":
        assert job.wait(timeout_s=120).state == "SUCCEEDED", job.values
        job = client.jobs.submit(make_pretrain(services, workers=2))
    out = services.place("labels" if kind == "mine" else "pretrained")
    services.wait_for_more(out, than=0)
    services.kill_ray_head(job)
    services.wait_for_more(out, than=services.count_done(out) + 2)
    assert job.wait(timeout_s=240).state == "SUCCEEDED", job.values
    if kind == "mine":
        check_labels(services)
    else:
        services.check_metrics("pretrained", NUM_STEPS)
