"""The process that drives a run is killed at each step of the commit on a real S3 server, and the run resumed.

The kill comes from the network: when the request of that step has not reached the server, has reached it by half, or
has been done without the driver hearing of it.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from urllib.parse import unquote

import pytest

from dap_core.label_sets import open_label_set, verify_label_set
from dap_core.label_sets.shards import parse_object_name
from dap_core.stores import Store
from services.storage import S3Store
from tests.builders import encode_image, make_scene
from tests.driver_builders import make_driver
from tests.faulty_proxy import FaultyProxy, run_proxy, through
from tests.mining_builders import write_colour_folder
from tests.s3_servers import S3Server
from tests.test_mining_s3 import upload

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
NUM_IMAGES, ROWS, NUM_REPEATS, PATIENCE_S = 20, 2, 10, 120.0
LARGE_BYTES = 35 * 2**20
FAULTS = ("reset", "cut", "unheard")
STEPS = {
    "plan": r"PUT .*/labels/plans/",
    "failures": r"PUT .*/labels/failures/",
    "data": r"PUT .*/labels/data/",
    "manifest": r"PUT .*/labels/manifests/",
    "newest manifest": r"PUT .*/labels/manifest\.json",
}
PART_STEPS = {"begin": r"POST .*\?uploads", "part": r"PUT .*partNumber=", "end": r"POST .*uploadId="}
_FETCH = re.compile(r"GET /[^/]+/pictures/([^?]+)")
_DATA = re.compile(r"/labels/(data/[^?]+)")


@dataclass
class Network:
    """A proxy that writes down every request, and breaks the connection at one of them."""

    proxy: FaultyProxy
    fault: str = ""
    pattern: str = "$never"
    number: int = 0
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, method: str, path: str) -> str | None:
        """The fault, when this is the request."""
        with self._lock:
            self.requests.append(f"{method} {unquote(path)}")
            matches = re.search(self.pattern, self.requests[-1]) and len(self.find(self.pattern))
            return self.fault if matches == self.number + 1 else None

    def find(self, pattern: str) -> list[str]:
        """The requests so far that match."""
        return [request for request in self.requests if re.search(pattern, request)]

    @property
    def fetched(self) -> list[str]:
        """Keys of the images that were read, each as often as it was."""
        return [found[1] for request in self.requests if (found := _FETCH.match(request))]

    @property
    def shards_put(self) -> set[int]:
        """Numbers of the shards of which anything was put."""
        named = (_DATA.search(request) for request in self.requests if not request.startswith("GET"))
        return {parse_object_name(found[1])[0] for found in named if found}


@contextmanager
def run_network(server: S3Server, **options: str | int) -> Iterator[Network]:
    with run_proxy(server.url) as proxy:
        network = Network(proxy, **options)  # type: ignore[arg-type]
        proxy.choose = network.choose
        yield network


@dataclass(frozen=True)
class Calm:
    """A source, and what an undisturbed run makes of it."""

    server: S3Server
    source: S3Store
    labels: S3Store
    requests: list[str]

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, request)) for request in self.requests)


def run_driver(network: Network, source: S3Store, labels: S3Store) -> BaseProcess:
    """A driver from its start to its end, which comes when the network breaks."""
    driver = make_driver(through(network.proxy, source), through(network.proxy, labels), max_rows=ROWS)
    network.proxy.on_break = driver.kill
    driver.start()
    driver.join(PATIENCE_S)
    return driver


def make_calm(server: S3Server, source: S3Store) -> Calm:
    labels = server.make_store("labels")
    with run_network(server) as network:
        assert run_driver(network, source, labels).exitcode == 0
    return Calm(server, source, labels, network.requests)


@pytest.fixture(scope="module")
def calm(servers: dict[str, S3Server], tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """Ten shards, most of them with a bad image."""
    folder = write_colour_folder(tmp_path_factory.mktemp("driver") / "pictures", NUM_IMAGES)
    for path in sorted(folder.rglob("*.png"))[::2]:
        path.write_bytes(b"no image")
    source = servers["juicefs"].make_store("pictures")
    upload(folder, source)
    return make_calm(servers["juicefs"], source)


@pytest.fixture(scope="module")
def large(servers: dict[str, S3Server]) -> Calm:
    """One shard, too large for a single put: bytes behind the end of an image belong to its file."""
    source = servers["juicefs"].make_store("pictures")
    scene = encode_image(make_scene((160, 120), (30, 30, 90, 90), (255, 0, 0)))
    for index in range(ROWS):
        source.put(f"x0/{index}.png", scene + bytes(LARGE_BYTES))
    return make_calm(servers["juicefs"], source)


def list_keys(store: Store, prefix: str) -> list[str]:
    return [info.key for info in store.list_objects(prefix)]


def kill_and_resume(calm: Calm, fault: str, pattern: str, number: int) -> None:
    """Kills a driver at the request with this number of those that match, and has another one go on."""
    labels = calm.server.make_store("labels")
    with run_network(calm.server, fault=fault, pattern=pattern, number=number) as network:
        assert run_driver(network, calm.source, labels).exitcode == -signal.SIGKILL
    committed = {parse_object_name(key)[0] for key in list_keys(labels, "data/")}
    with run_network(calm.server) as network:
        assert run_driver(network, calm.source, labels).exitcode == 0
    found, expected = open_label_set(labels), open_label_set(calm.labels)
    assert verify_label_set(found) == []
    assert found.shards == expected.shards
    for prefix in ("plans/", "data/", "failures/"):
        assert list_keys(labels, prefix) == list_keys(calm.labels, prefix)
    assert network.shards_put == {entry.footer.shard for entry in found.shards} - committed
    open_rows = [row for shard in network.shards_put for row in expected.planned.shards[shard]]
    assert sorted(network.fetched) == sorted(row.key for row in open_rows)


@pytest.mark.parametrize(("step", "fault"), [("plan", "unheard"), ("data", "cut"), ("manifest", "unheard")])
def test_a_driver_killed_in_the_commit_loses_doubles_and_repeats_nothing(calm: Calm, step: str, fault: str):
    kill_and_resume(calm, fault, STEPS[step], calm.count(STEPS[step]) // 2)


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_ten_drivers_killed_at_each_step_lose_double_and_repeat_nothing(calm: Calm, step: str, fault: str):
    for repeat in range(NUM_REPEATS):
        kill_and_resume(calm, fault, STEPS[step], repeat % calm.count(STEPS[step]))


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", PART_STEPS)
def test_ten_drivers_killed_at_each_part_of_a_large_shard_lose_and_double_nothing(large: Calm, step: str, fault: str):
    for repeat in range(NUM_REPEATS):
        kill_and_resume(large, fault, PART_STEPS[step], repeat % large.count(PART_STEPS[step]))
