"""Nodes of a real cluster of three come and die while jobs run and people ask; nothing is lost."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import grpc
import httpx
import pytest
import ray
from dap_client import Client, Job

from services.jobs.job_store import JobStore
from tests.local_cluster import LocalCluster, run_cluster
from tests.s3_servers import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.soak]
NUM_IMAGES, SHARD_IMAGES, NUM_STEPS = 160, 4, 160
"""Of `mine` jobs that take a minute or two, and of training that takes about as long."""
RESTART_S, JOIN_S = 120.0, 60.0
LABELER = "ray::MapWorker(MapBatches(_Worker))"
PATHS = ("/", "/api/version", "/api/jobs/", "/api/serve/applications/", "/nodes", "/api/v0/tasks", "/logs", "/metrics")
CALLS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVGet",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.RayletDriver/ClusterInfo",
    "/ray.rpc.RayletDriver/KVGet",
)


@pytest.fixture(scope="module")
def cluster(servers: dict[str, S3Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with run_cluster(servers["juicefs"], tmp_path_factory.mktemp("cluster"), 2) as made:
        made.data.put_pictures(NUM_IMAGES)
        made.deploy()
        yield made


@dataclass
class Work:
    """Jobs on the cluster, each with an output of its own."""

    cluster: LocalCluster
    client: Client
    numbers: Iterator[int] = field(default_factory=count)

    def begin(self, kind: str) -> Running:
        """A job that has committed something."""
        out = f"labels-{next(self.numbers)}"
        data = self.cluster.data
        sides = [640, 800] if kind == "mine" else [128, 192]
        job = self.client.jobs.submit(data.make_mine(out, shard_images=SHARD_IMAGES, short_sides=sides))
        if kind == "pretrain":
            assert job.wait(timeout_s=300).state == "SUCCEEDED", job.values
            label_set, out = out, f"trained-{next(self.numbers)}"
            job = self.client.jobs.submit(data.make_pretrain(label_set, out, NUM_STEPS, workers=2))
        data.wait_for_more(data.place(out), than=0)
        return Running(self.cluster, job, kind, out)


@dataclass
class Running:
    """A job under way."""

    cluster: LocalCluster
    job: Job
    kind: str
    out: str

    def count_done(self) -> int:
        return self.cluster.data.count_done(self.cluster.data.place(self.out))

    def wait_for_more(self, than: int | None = None) -> None:
        self.cluster.data.wait_for_more(self.cluster.data.place(self.out), than=than)

    def check(self) -> None:
        """It succeeds, and all is there once."""
        assert self.job.wait(timeout_s=400).state == "SUCCEEDED", self.job.values
        if self.kind == "mine":
            self.cluster.data.check_labels(self.out, NUM_IMAGES, NUM_IMAGES // SHARD_IMAGES)
        else:
            self.cluster.data.check_metrics(self.out, NUM_STEPS)
        attempts = {
            int(event.id.partition(".")[0]) for event in JobStore(self.cluster.data.store).read_events(self.job.id)
        }
        assert attempts == set(range(1, self.job.values["attempt"] + 1))


@pytest.fixture(scope="module")
def work(cluster: LocalCluster) -> Work:
    return Work(cluster, cluster.open_client())


@pytest.mark.parametrize("kind", ["mine", "pretrain"])
def test_a_job_goes_on_when_each_node_in_turn_dies(cluster: LocalCluster, work: Work, kind: str):
    running = work.begin(kind)
    for name in ("node-1", "node-2"):
        cluster.run("kill", name)
        cluster.run("start", name)
        running.wait_for_more()
    running.check()


@pytest.mark.parametrize("kind", ["mine", "pretrain"])
def test_all_goes_on_when_the_head_dies(cluster: LocalCluster, work: Work, kind: str):
    running = work.begin(kind)
    cluster.run("kill", "head")
    done = running.count_done()
    cluster.run("start", "head")
    began = time.monotonic()
    wait_until(cluster.is_ready, RESTART_S, every_s=0.5)
    running.wait_for_more(than=done)
    assert time.monotonic() - began < RESTART_S
    running.check()


def test_a_node_that_joins_is_used(cluster: LocalCluster, work: Work):
    cluster.run("kill", "node-2")
    running = work.begin("mine")
    cluster.run("start", "node-2")
    wait_until(lambda: cluster.find_processes("node-2", LABELER), JOIN_S, every_s=0.5)
    running.check()


def test_a_new_setting_is_rolled_out_and_no_request_is_lost(cluster: LocalCluster):
    image = next((cluster.data.folder / "photos").rglob("*.png")).read_bytes()
    cluster.deploy(num_replicas=2)
    answers: list[str] = []
    is_over = threading.Event()

    def ask() -> None:
        with Client(cluster.url, api_key=cluster.api_key, max_retries=0, timeout_s=60) as client:
            while not is_over.is_set():
                try:
                    answers.append(f"{len(client.label(image, ['goldfish']))} image")
                except Exception as error:  # noqa: BLE001 - whatever it is, it was not answered
                    answers.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        before = len(answers)
        cluster.deploy(num_replicas=2, deadline_s=50)
        after = len(answers)
        time.sleep(5)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert before < after < len(answers)
    assert set(answers) == {"1 image"}


def test_nobody_is_told_anything_without_a_token(cluster: LocalCluster):
    ports = cluster.find_ports()
    assert len(ports) > 10
    told = {(port, path): page for port in ports for path in PATHS if (page := ask_openly(*port, path)) is not None}
    shell = (Path(ray.__file__).parent / "dashboard" / "client" / "build" / "index.html").read_text()
    others = {place for place, page in told.items() if page not in ("", shell) and not page.startswith("# HELP ")}
    assert others == set(), "exporters give metrics on every path, the dashboard its empty page, nobody else anything"
    assert [one for one in ports for call in CALLS if is_served(*one, call)] == []
    assert httpx.get(f"{cluster.url}/v1/jobs").status_code == 401
    assert httpx.post(f"{cluster.url}/v1/boxes", content=b"x").status_code == 401


def test_what_is_counted_can_be_scraped_from_the_nodes(cluster: LocalCluster, work: Work):
    work.begin("mine").check()
    wanted = {"ray_dap_http_requests_total", "ray_dap_http_request_seconds_bucket", "ray_dap_jobs", "ray_dap_jobs_done"}
    wanted |= {"ray_dap_jobs_ended_total", "ray_serve_num_ongoing_http_requests"}
    wait_until(lambda: wanted <= scrape(cluster), 60, every_s=0.5)


def scrape(cluster: LocalCluster) -> set[str]:
    """The names of all metrics that the exporters of the nodes give."""
    file = Path(cluster.environment["CLUSTER_TMP"]) / "prom_metrics_service_discovery.json"
    places = [place for group in json.loads(file.read_text()) for place in group["targets"]]
    headers = {"Authorization": f"Bearer {cluster.environment['RAY_AUTH_TOKEN']}"}
    pages = [httpx.get(f"http://{place}/metrics", headers=headers, timeout=10).text for place in places]
    return set(re.findall(r"^(\w+)[{ ]", "\n".join(pages), re.MULTILINE))


def ask_openly(host: str, port: int, path: str) -> str | None:
    """The page that a port gives to somebody without a token, None when it refuses."""
    try:
        answer = httpx.get(f"http://{host}:{port}{path}", timeout=5)
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code < 400 else None


def is_served(host: str, port: int, call: str) -> bool:
    """Whether a port does what it is asked by somebody without a token."""
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            channel.unary_unary(call)(b"", timeout=3)
        except grpc.RpcError:
            return False
        return True
