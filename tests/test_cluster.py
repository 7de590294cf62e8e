"""Nodes of a real cluster of three come and die while jobs run and people ask; nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dap_client import Client, Job

from services.jobs.job_store import JobStore
from tests.bucket_services import Services
from tests.local_cluster import LocalCluster, run_cluster
from tests.s3_servers import S3Server

pytestmark = [pytest.mark.cluster, pytest.mark.soak]
NUM_IMAGES, SHARD_IMAGES, NUM_STEPS = 160, 4, 160
RESTART_S, JOIN_S = 120.0, 60.0
LABELER = "ray::MapWorker(MapBatches(_Worker))"


@pytest.fixture
def cluster(servers: dict[str, S3Server], tmp_path: Path) -> Iterator[LocalCluster]:
    with run_cluster(servers["juicefs"], tmp_path, 2) as made:
        made.data.put_pictures(NUM_IMAGES)
        made.deploy()
        yield made


@pytest.fixture
def client(cluster: LocalCluster) -> Client:
    return cluster.open_client()


def make_mine(data: Services, out: str = "labels") -> dict[str, Any]:
    return data.make_mine(out, shard_images=SHARD_IMAGES, engine="torch", precision="float32")


def make_job(cluster: LocalCluster, client: Client, kind: str) -> tuple[Job, str]:
    """A job that has begun, and where it writes."""
    job, out = client.jobs.submit(make_mine(cluster.data)), "labels"
    if kind == "pretrain":
        assert job.wait(timeout_s=300).state == "SUCCEEDED", job.values
        job, out = client.jobs.submit(cluster.data.make_pretrain("labels", "trained", NUM_STEPS, workers=2)), "trained"
    cluster.data.wait_for_more(cluster.data.place(out), than=0)
    return job, out


def check(cluster: LocalCluster, job: Job, kind: str) -> None:
    """The job has succeeded, and all is there once."""
    assert job.wait(timeout_s=400).state == "SUCCEEDED", job.values
    if kind == "mine":
        cluster.data.check_labels("labels", NUM_IMAGES, NUM_IMAGES // SHARD_IMAGES)
    else:
        cluster.data.check_metrics("trained", NUM_STEPS)
    attempts = {int(event.id.partition(".")[0]) for event in JobStore(cluster.data.store).read_events(job.id)}
    assert attempts == set(range(1, job.values["attempt"] + 1))


@pytest.mark.parametrize("kind", ["mine", "pretrain"])
def test_a_job_goes_on_when_each_node_in_turn_dies(cluster: LocalCluster, client: Client, kind: str):
    job, out = make_job(cluster, client, kind)
    for name in ("node-1", "node-2"):
        cluster.run("kill", name)
        cluster.run("start", name)
        cluster.data.wait_for_more(cluster.data.place(out))
    check(cluster, job, kind)


@pytest.mark.parametrize("kind", ["mine", "pretrain"])
def test_all_goes_on_when_the_head_dies(cluster: LocalCluster, client: Client, kind: str):
    job, out = make_job(cluster, client, kind)
    cluster.run("kill", "head")
    done, began = cluster.data.count_done(cluster.data.place(out)), time.monotonic()
    cluster.run("start", "head")
    cluster.wait_until_ready(RESTART_S - (time.monotonic() - began))
    cluster.data.wait_for_more(cluster.data.place(out), than=done)
    assert time.monotonic() - began < RESTART_S
    check(cluster, job, kind)


def test_a_node_that_joins_is_used(cluster: LocalCluster, client: Client):
    cluster.run("kill", "node-2")
    make_job(cluster, client, "mine")
    cluster.run("start", "node-2")
    began = time.monotonic()
    while not cluster.find_processes("node-2", LABELER):
        assert time.monotonic() - began < JOIN_S
        time.sleep(1)


def test_a_new_version_is_rolled_out_and_no_request_is_lost(cluster: LocalCluster, client: Client):
    image = next(iter((cluster.data.folder / "photos").iterdir())).read_bytes()
    statuses: list[str] = []
    is_over = threading.Event()

    def ask() -> None:
        with Client(cluster.url, api_key=cluster.api_key, max_retries=0, timeout_s=60) as one:
            while not is_over.is_set():
                try:
                    [found] = one.label(image, ["goldfish"])
                    statuses.append("ok" if found else "none")
                except Exception as error:  # noqa: BLE001 - whatever it is, it was not answered
                    statuses.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        before = len(statuses)
        cluster.deploy(deadline_s=50)
        after = len(statuses)
        time.sleep(5)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert before < after < len(statuses)
    assert set(statuses) == {"ok"}
