"""Shards labelled by a pool on Ray Data equal those of one process, also when labelers are killed all the time."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

import psutil
import pytest

from dap_core import PseudoLabeler
from dap_core.datasets import Source, read_image_objects
from dap_core.errors import StoreRefusedError
from dap_core.label_sets import Manifest, open_label_set, verify_label_set
from dap_core.label_sets.labeling import ShardLabeler
from dap_core.label_sets.runner import run_plan, run_tasks, start_label_set
from dap_core.label_sets.tally import Tally
from dap_core.recipes import DEFAULT_RECIPE, customise_recipe
from dap_core.stores import Store
from services.jobs.shard_pool import LabelerSpec, ShardPool
from services.ray_session import connect_ray
from services.storage import S3Store
from tests.builders import encode_image, make_scene
from tests.faulty_proxy import FaultyProxy, through
from tests.mining_builders import plan_source
from tests.s3_servers import S3Server
from tests.service_builders import RAY_ENVIRONMENT

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore::ResourceWarning")]
NUM_IMAGES, ROWS = 60, 3
REFUSED_WITHIN_S = 60.0
POISON = b"poison at the end"
WNIDS = ("n02124075", "n07920052")


@pytest.fixture(scope="module")
def ray_here(servers: dict[str, S3Server]) -> Iterator[None]:
    """A Ray of this test's own; its workers inherit the credentials of the servers."""
    assert servers
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY_ENVIRONMENT.items():
            patch.setenv(name, value)
        with connect_ray(num_cpus=2):
            yield


@pytest.fixture(scope="module")
def source(servers: dict[str, S3Server]) -> Source:
    store = servers["juicefs"].make_store("pictures")
    for index in range(NUM_IMAGES):
        scene = make_scene((160 + index % 7, 120), (30, 30, 90 + index % 20, 90), (200, 150, 100))
        store.put(f"{WNIDS[index % 2]}/{index:03d}.png", encode_image(scene))
    store.put(f"{WNIDS[0]}/bad.png", b"no image")
    return read_image_objects(store)


@pytest.fixture(scope="module")
def labeler() -> PseudoLabeler:
    recipe = customise_recipe(DEFAULT_RECIPE, short_sides=(48, 96))
    return PseudoLabeler(recipe=recipe, engine="torch", precision="float32")


@pytest.fixture(scope="module")
def calm(source: Source, labeler: PseudoLabeler, servers: dict[str, S3Server]) -> S3Store:
    """The label set that one process makes, undisturbed."""
    store = servers["juicefs"].make_store("calm")
    plan = start_label_set(store, *plan_source(labeler, source, max_rows=ROWS))
    run_plan(store, plan, ShardLabeler(labeler, source.store, store, plan.settings))
    return store


def mine_on_ray(
    labeler: PseudoLabeler,
    source: Source,
    destination: Store,
    tally: Tally,
    *,
    max_labelers: int = 2,
    kind: type[LabelerSpec] = LabelerSpec,
) -> Manifest:
    plan = start_label_set(destination, *plan_source(labeler, source, max_rows=ROWS))
    pool = ShardPool(kind(plan.settings, "lite0"), source.store, destination, max_labelers, on_tally=tally.merge)
    return run_tasks(destination, plan, pool)


def find_objects(store: Store, prefix: str) -> list[str]:
    return [one.key for one in store.list_objects(prefix)]


def assert_equal_to(calm: S3Store, found: S3Store) -> None:
    """The same rows as the undisturbed run: the winners of all shards are the same objects."""
    label_set, expected = open_label_set(found), open_label_set(calm)
    assert verify_label_set(label_set) == []
    assert [entry.data for entry in label_set.shards] == [entry.data for entry in expected.shards]
    assert label_set.manifest.counts == expected.manifest.counts


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("num_kills", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_labelers_killed_again_and_again_lose_and_double_nothing(
    servers: dict[str, S3Server], source: Source, labeler: PseudoLabeler, calm: S3Store, num_kills: int
):
    store, stop, killed = servers["juicefs"].make_store("labels"), threading.Event(), []
    tally, again = Tally(), Tally()

    def kill() -> None:
        numbers = random.Random(5)
        while len(killed) < num_kills and not stop.wait(0.5):
            workers = find_workers()
            if workers and find_objects(store, "data/"):
                victim = numbers.choice(workers)
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
                stop.wait(2)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        manifest = mine_on_ray(labeler, source, store, tally)
    finally:
        stop.set()
        killer.join()
    assert killed, "the run was over before a labeler was killed"
    assert (manifest.state, manifest.counts.num_ok, manifest.counts.num_failed) == ("complete", NUM_IMAGES, 1)
    assert (tally.num_ok, dict(tally.failures)) == (NUM_IMAGES, {"not-an-image": 1})
    assert_equal_to(calm, store)
    assert mine_on_ray(labeler, source, store, again).state == "complete"
    assert (again.num_ok, again.failures.total()) == (0, 0), "a finished run repeats nothing"


def find_workers() -> list[int]:
    """Process ids of the labelers of this process's Ray."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "_Worker" in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


class DyingLabeler:
    """A labeler whose process dies on images that hold the poison."""

    def __init__(self, labeler: PseudoLabeler) -> None:
        self._labeler = labeler

    def label_stream(self, items: Iterable[tuple[Callable[[], bytes], tuple[str, ...]]]) -> Iterator[object]:
        return self._labeler.label_stream((partial(self._read, read), labels) for read, labels in items)

    def _read(self, read: Callable[[], bytes]) -> bytes:
        data = read()
        if POISON in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        return data


class PoisonedSpec(LabelerSpec):
    def make(self, num_threads: int) -> PseudoLabeler:
        return DyingLabeler(super().make(num_threads))  # type: ignore[return-value]


@pytest.mark.usefixtures("ray_here")
def test_an_image_that_kills_its_process_is_found_and_the_rest_is_labelled(
    servers: dict[str, S3Server], source: Source, labeler: PseudoLabeler, calm: S3Store
):
    poisoned = servers["juicefs"].make_store("poisoned")
    rows = source.rows[:10]
    for row in rows:
        poisoned.put(row.key, source.store.get(row.key))
    victim = rows[4].key
    poisoned.put(victim, source.store.get(victim) + POISON)
    store, tally = servers["juicefs"].make_store("labels"), Tally()
    manifest = mine_on_ray(labeler, read_image_objects(poisoned), store, tally, kind=PoisonedSpec)
    label_set = open_label_set(store)
    [failure] = label_set.failures()
    assert (failure.key, failure.error_type) == (victim, "worker-crash")
    assert failure.message == "the process that labelled it died (signal SIGSEGV); look at the image by itself"
    assert (manifest.state, manifest.counts.num_ok) == ("complete", 9)
    boxes = {row.key: row.boxes.boxes.tolist() for row in open_label_set(calm).rows()}
    assert all(row.boxes.boxes.tolist() == boxes[row.key] for row in label_set.rows())
    assert verify_label_set(label_set) == []
    assert find_objects(store, "attempts/") == []


@pytest.mark.usefixtures("ray_here")
def test_rights_lost_on_the_way_end_the_run_within_a_minute_with_the_reason(
    servers: dict[str, S3Server], source: Source, labeler: PseudoLabeler, proxy: FaultyProxy
):
    labels, lock, put, refused = servers["juicefs"].make_store("labels"), threading.Lock(), [], []

    def choose(method: str, path: str) -> str | None:
        with lock:
            if method == "PUT" and "/data/" in path:
                put.append(path)
            if len(put) < 2 or method != "GET" or "/pictures/" not in path:
                return None
            refused.append(time.monotonic())
            return "403"

    proxy.choose = choose
    listed = read_image_objects(through(proxy, source.store))
    with pytest.raises(StoreRefusedError, match=r"get s3://.*: access is denied; check the rights"):
        mine_on_ray(labeler, listed, through(proxy, labels), Tally())
    assert time.monotonic() - refused[0] < REFUSED_WITHIN_S
    partial = open_label_set(labels, allow_partial=True)
    failures = [failure.error_type for failure in partial.failures()]
    assert (partial.manifest.state, set(failures) <= {"not-an-image"}) == ("partial", True)
    assert 2 <= len(partial.shards) < len(listed.rows) // ROWS
    assert verify_label_set(partial) == []
