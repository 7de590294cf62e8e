"""Whatever a network does to a pool of labelers, no image is lost that the store could deliver; at length."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dap_core import PseudoLabeler
from dap_core.datasets import Source
from dap_core.label_sets.plan import PlannedSet
from dap_core.label_sets.runner import run_tasks
from dap_core.stores import Store
from services.jobs.shard_pool import LabelerSpec, ShardPool
from services.ray_session import connect_ray
from tests.fault_builders import (
    FAULTS,
    OUTAGES,
    SHARES,
    Outage,
    World,
    choose_at_random,
    make_toy_labeler,
    make_world,
)
from tests.faulty_proxy import FaultyProxy
from tests.s3_servers import S3Server
from tests.service_builders import RAY_ENVIRONMENT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("ray_here"),
]
NUM_LABELERS = 2


@pytest.fixture(scope="module")
def ray_here(servers: dict[str, S3Server]) -> Iterator[None]:
    """A Ray of this module's own; its workers inherit the credentials of the servers."""
    assert servers
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY_ENVIRONMENT.items():
            patch.setenv(name, value)
        with connect_ray(num_cpus=NUM_LABELERS):
            yield


@pytest.fixture(scope="module")
def world(servers: dict[str, S3Server]) -> World:
    return make_world(servers["juicefs"], num_images=240, max_rows=20)


class ToySpec(LabelerSpec):
    """The labeler of the calm run."""

    def make(self, num_threads: int) -> PseudoLabeler:  # noqa: ARG002
        return make_toy_labeler()


def run_on_ray(source: Source, labels: Store, plan: PlannedSet) -> None:
    spec = ToySpec(plan.settings, "toy")
    run_tasks(labels, plan, ShardPool(spec, source.store, labels, NUM_LABELERS))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_loses_no_image(world: World, proxy: FaultyProxy, fault: str, share: float):
    proxy.choose = choose_at_random(fault, share)
    world.check(proxy, run_on_ray)
    assert proxy.counts[fault]


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_of_a_minute_loses_no_image(world: World, proxy: FaultyProxy, kind: str):
    outage = Outage(proxy, kind, seconds=60)
    with outage.watch():
        world.check(proxy, run_on_ray)
