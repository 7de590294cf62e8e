"""Runners as jobs of a real Ray cluster: placed when there is room, refused twice, ended with their node."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from services.jobs.job_store import JobStore
from services.jobs.kinds import make_spec
from services.jobs.ray_launcher import RayJobLauncher, RayJobOptions
from services.jobs.ray_placing import place_on_ray
from services.jobs.records import JobState
from tests.local_cluster import LocalCluster, run_cluster
from tests.s3_servers import S3Server
from tests.waiting import wait_until

NUM_IMAGES, SHARD_IMAGES = 40, 4
WAIT_S = 120.0


@pytest.fixture(scope="module")
def cluster(servers: dict[str, S3Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head, and one node of two cores."""
    with run_cluster(servers["juicefs"], tmp_path_factory.mktemp("cluster"), 1) as made:
        made.data.put_pictures(NUM_IMAGES)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
                patch.setenv(name, made.environment[name])
            yield made


@pytest.mark.cluster
def test_an_attempt_runs_on_the_cluster_and_the_next_one_after_its_node_has_died(cluster: LocalCluster):
    data, jobs = cluster.data, JobStore(cluster.data.store)
    launcher = RayJobLauncher(jobs.store, cluster.environment["RAY_ADDRESS"], RayJobOptions(max_processes=1))
    job = jobs.submit(make_spec(data.make_mine("labels", shard_images=SHARD_IMAGES), "the test"))
    first, same = launcher.start(job, 1), launcher.start(job, 1)
    data.wait_for_more(out := data.place("labels"), than=0)
    assert (first.poll(), first.explain_waiting(), same.poll()) == (None, None, None)
    cluster.run("kill", "node-1")
    wait_until(first.poll, WAIT_S, every_s=0.5)
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, first.owns(record)) == (JobState.RUNNING, True)
    second = launcher.start(job, 2)
    assert second.poll() is None
    assert second.explain_waiting() == "waits for room on the cluster"
    cluster.run("start", "node-1")
    data.wait_for_more(out)
    wait_until(second.poll, WAIT_S, every_s=0.5)
    data.check_labels("labels", NUM_IMAGES, NUM_IMAGES // SHARD_IMAGES)
    [end, record] = second.poll(), jobs.read_record(job)
    assert end is not None
    assert record is not None
    assert (end.code, record.state, record.attempt, second.owns(record)) == (0, JobState.SUCCEEDED, 2, True)
    assert any(info.key.startswith(f"jobs/{job}/logs/0002-") for info in jobs.store.list_objects(f"jobs/{job}/logs/"))


@pytest.mark.cluster
def test_a_job_for_which_there_is_no_room_waits_and_is_not_waited_for(cluster: LocalCluster):
    data, jobs = cluster.data, JobStore(cluster.data.store)
    launcher = RayJobLauncher(jobs.store, cluster.environment["RAY_ADDRESS"], RayJobOptions(cpus=64))
    export = {"kind": "export", "label_set": data.place("labels"), "out": data.place("coco")}
    runner = launcher.start(jobs.submit(make_spec(export, "the test")), 1)
    assert runner.poll() is None
    assert runner.explain_waiting() == "waits for room on the cluster"
    began = time.monotonic()
    runner.kill()
    assert time.monotonic() - began < 10


@pytest.mark.cluster
def test_a_cluster_that_does_not_answer_takes_no_job(cluster: LocalCluster):
    jobs = JobStore(cluster.data.store)
    job = jobs.submit(make_spec(cluster.data.make_mine("none"), "the test"))
    with pytest.raises(OSError, match=r"the cluster at http://127\.0\.0\.1:1 takes no job"):
        RayJobLauncher(jobs.store, "http://127.0.0.1:1").start(job, 1)


@pytest.mark.parametrize(
    ("values", "placed"),
    [
        ({"kind": "mine", "source": ["/a"], "out": "/b"}, {"ray": "auto", "labelers": 8, "device": None}),
        ({"kind": "mine", "source": ["/a"], "out": "/b", "labelers": 2}, {"ray": "auto", "labelers": 2}),
        ({"kind": "pretrain", "label_set": "/a", "out": "/b"}, {"ray": None, "workers": None}),
        ({"kind": "pretrain", "label_set": "/a", "out": "/b", "workers": 3}, {"ray": "auto", "workers": 3}),
    ],
)
def test_labelers_and_workers_go_to_the_cluster(values: dict[str, object], placed: dict[str, object]):
    found = place_on_ray(make_spec(values, "the test"), "auto", max_labelers=8)
    assert {name: getattr(found, name) for name in placed} == placed


def test_with_gpus_a_job_takes_one_unless_it_names_a_device():
    values = {"kind": "mine", "source": ["/a"], "out": "/b"}
    assert place_on_ray(make_spec(values, "x"), "auto", max_labelers=8, gpus=1).device == "cuda"  # type: ignore[attr-defined]
    on_cpu = make_spec({**values, "device": "cpu"}, "x")
    assert place_on_ray(on_cpu, "auto", max_labelers=8, gpus=1).device == "cpu"  # type: ignore[attr-defined]
