"""The promise of bulk labelling at length: 2,000 images, and a labeler killed every few seconds."""

from __future__ import annotations

import os
import random
import signal
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from dap_core import PseudoLabeler
from dap_core.datasets import Source, read_image_objects
from dap_core.label_sets import LabelSet, open_label_set, verify_label_set
from dap_core.label_sets.labeling import ShardLabeler
from dap_core.label_sets.runner import run_plan, run_tasks, start_label_set
from dap_core.recipes import DEFAULT_RECIPE, customise_recipe
from services.jobs.shard_pool import LabelerSpec, ShardPool
from services.ray_session import connect_ray
from tests.mining_builders import plan_source
from tests.s3_servers import S3Server
from tests.service_builders import RAY_ENVIRONMENT
from tests.test_shard_pool import find_workers

pytestmark = [
    pytest.mark.soak,
    pytest.mark.cluster,
    pytest.mark.real_data,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
NUM_IMAGES, ROWS, NUM_LABELERS, NUM_KILLS, EVERY_S = 2_000, 20, 4, 20, 5.0
PER_CLASS = 10


@pytest.fixture(scope="module")
def source(data_dir: Path, servers: dict[str, S3Server]) -> Source:
    """2,000 images of 200 classes in a bucket."""
    store = servers["juicefs"].make_store("tiny")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: store.put(*item), islice(read_tiny(data_dir), NUM_IMAGES)))
    return read_image_objects(store)


def read_tiny(data_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Keys and bytes of the first training images of each class."""
    taken: Counter[str] = Counter()
    with tarfile.open(data_dir / "tiny-imagenet.tar.gz") as archive:
        for member in archive:
            path = Path(member.name)
            wnid = path.name.partition("_")[0]
            if path.suffix == ".JPEG" and "train" in path.parts and taken[wnid] < PER_CLASS:
                taken[wnid] += 1
                file = archive.extractfile(member)
                assert file is not None
                yield f"{wnid}/{path.name}", file.read()


def mine(source: Source, destination, *, on_ray: bool) -> LabelSet:  # type: ignore[no-untyped-def]
    recipe = customise_recipe(DEFAULT_RECIPE, short_sides=(48, 96))
    labeler = PseudoLabeler(recipe=recipe, engine="torch", precision="float32")
    plan = start_label_set(destination, *plan_source(labeler, source, max_rows=ROWS))
    if on_ray:
        run_tasks(
            destination, plan, ShardPool(LabelerSpec(plan.settings, "lite0"), source.store, destination, NUM_LABELERS)
        )
    else:
        run_plan(destination, plan, ShardLabeler(labeler, source.store, destination, plan.settings))
    return open_label_set(destination)


def test_twenty_killed_labelers_lose_and_double_nothing(
    servers: dict[str, S3Server], source: Source, monkeypatch: pytest.MonkeyPatch
):
    for name, value in RAY_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    calm = mine(source, servers["juicefs"].make_store("calm"), on_ray=False)
    store, stop, killed = servers["juicefs"].make_store("labels"), threading.Event(), []

    def kill() -> None:
        numbers = random.Random(7)
        while len(killed) < NUM_KILLS and not stop.wait(EVERY_S):
            workers = find_workers()
            if workers and next(iter(store.list_objects("data/")), None):
                victim = numbers.choice(workers)
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)

    killer = threading.Thread(target=kill)
    with connect_ray(num_cpus=NUM_LABELERS):
        killer.start()
        try:
            found = mine(source, store, on_ray=True)
        finally:
            stop.set()
            killer.join()
    assert len(killed) == NUM_KILLS, "the run was over before all were killed"
    assert found.manifest.counts.num_planned == NUM_IMAGES
    assert verify_label_set(found) == []
    assert [entry.data for entry in found.shards] == [entry.data for entry in calm.shards]
