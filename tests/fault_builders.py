"""Runs from bucket to bucket through a network that fails, and what they have to come to."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dap_core import PseudoLabeler
from dap_core.datasets import Source, read_image_objects
from dap_core.engines import make_engine
from dap_core.label_sets import open_label_set, verify_label_set
from dap_core.label_sets.labeling import ShardLabeler
from dap_core.label_sets.plan import PlannedSet
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.stores import Store
from services.storage import S3Options, S3Store
from tests.builders import encode_image, make_pixels, make_toy_classifier
from tests.faulty_proxy import Choose, FaultyProxy, through
from tests.mining_builders import SMALL_RECIPE, plan_source
from tests.s3_servers import S3Server

OF_BODIES = ("short", "stall", "trickle")
FAULTS = ("500", "503", "reset", "cut", "unheard", *OF_BODIES)
SHARES = (0.05, 0.2)
OUTAGES = ("refused", "503")
PATIENCE_S = S3Options().patience_s
RESUME_S = 30.0
"""How soon after an outage the first request has to come through."""

Run = Callable[[Source, Store, PlannedSet], None]
"""Makes the shards of a plan from a source into a store."""


def make_toy_labeler() -> PseudoLabeler:
    """A labeler that gives equal boxes in every process."""
    engine = make_engine(make_toy_classifier(), engine="torch", precision="float32")
    return PseudoLabeler(recipe=SMALL_RECIPE, engine=engine)


def run_here(source: Source, labels: Store, plan: PlannedSet) -> None:
    """One labeler in this process."""
    run_plan(labels, plan, ShardLabeler(make_toy_labeler(), source.store, labels, plan.settings))


@dataclass(frozen=True)
class World:
    """Images in a bucket, and the label set that a run makes of them when nothing fails."""

    server: S3Server
    source: S3Store
    calm: S3Store
    max_rows: int

    def label(self, source: S3Store, labels: S3Store, run: Run) -> None:
        """Has `run` label the images as these two stores give and take them."""
        listed = read_image_objects(source)
        plan = start_label_set(labels, *plan_source(make_toy_labeler(), listed, max_rows=self.max_rows))
        run(listed, labels, plan)

    def check(self, proxy: FaultyProxy, run: Run) -> None:
        """Has `run` do all through the proxy: no image fails, and every shard is that of the calm run."""
        labels = self.server.make_store("labels")
        source, through_labels = (through(proxy, store, patience_s=PATIENCE_S) for store in (self.source, labels))
        self.label(source, through_labels, run)
        found, expected = open_label_set(labels), open_label_set(self.calm)
        assert verify_label_set(found) == []
        assert [entry.data for entry in found.shards] == [entry.data for entry in expected.shards]
        assert found.manifest.counts == expected.manifest.counts
        assert (found.manifest.state, found.manifest.counts.num_failed) == ("complete", 0)


def make_world(server: S3Server, *, num_images: int, max_rows: int) -> World:
    """Images of noise, 10 KB each, and their calm run."""
    world = World(server, server.make_store("pictures"), server.make_store("labels"), max_rows)
    for number in range(num_images):
        world.source.put(f"x{number % 2}/{number:03d}.png", encode_image(make_pixels(64, 50, number)))
    world.label(world.source, world.calm, run_here)
    return world


def choose_at_random(fault: str, share: float) -> Choose:
    """This fault for a share of all requests; of those that ask for a body, where the fault is in the body."""
    numbers, lock = random.Random(3), threading.Lock()

    def choose(method: str, _path: str) -> str | None:
        with lock:
            hit = numbers.random() < share
        return fault if hit and (method == "GET" or fault not in OF_BODIES) else None

    return choose


class Outage:
    """An outage that begins when the first shard is put, and what came after it."""

    def __init__(self, proxy: FaultyProxy, kind: str, seconds: float) -> None:
        self.kind, self.seconds = kind, seconds
        self.ended_at = self.heard_at = 0.0
        self._proxy, self._begin, self._is_down = proxy, threading.Event(), False
        proxy.choose = self._choose

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Waits for the first shard, while inside; at the end there has to have been work left after the outage."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._begin.set()
            thread.join()
        assert 0 < self.heard_at - self.ended_at < RESUME_S

    def _choose(self, method: str, path: str) -> str | None:
        if self.ended_at and not self.heard_at:
            self.heard_at = time.monotonic()
        if method == "PUT" and "/data/" in path:
            self._begin.set()
        return self.kind if self._is_down else None

    def _run(self) -> None:
        self._begin.wait()
        self._is_down = True
        if self.kind == "refused":
            self._proxy.close()
        time.sleep(self.seconds)
        self._is_down = False
        self.ended_at = time.monotonic()
        if self.kind == "refused":
            self._proxy.open()
