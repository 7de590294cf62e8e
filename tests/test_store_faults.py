"""Whatever a network does to a run in one process, no image is lost that the store could deliver."""

from __future__ import annotations

import pickle
import time

import pytest

from dap_core.errors import StoreUnavailableError
from tests.fault_builders import FAULTS, OUTAGES, SHARES, Outage, World, choose_at_random, make_world, run_here
from tests.faulty_proxy import FaultyProxy, through
from tests.s3_servers import S3Server

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def small(servers: dict[str, S3Server]) -> World:
    return make_world(servers["juicefs"], num_images=20, max_rows=4)


@pytest.fixture(scope="module")
def world(servers: dict[str, S3Server]) -> World:
    return make_world(servers["juicefs"], num_images=240, max_rows=60)


@pytest.mark.parametrize("fault", ["cut", "unheard"])
def test_connections_that_break_amid_or_after_a_request_lose_no_image(small: World, proxy: FaultyProxy, fault: str):
    proxy.choose = choose_at_random(fault, max(SHARES))
    small.check(proxy, run_here)
    assert proxy.counts[fault]


def test_a_short_outage_loses_no_image(small: World, proxy: FaultyProxy):
    outage = Outage(proxy, "refused", seconds=2)
    with outage.watch():
        small.check(proxy, run_here)


def test_a_copy_of_a_store_that_was_answered_is_as_patient_as_the_store(
    servers: dict[str, S3Server], proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.storage._FIRST_PATIENCE_S", 0.2)
    direct = servers["juicefs"].make_store()
    direct.put("one", b"1")
    store, fresh = through(proxy, direct), through(proxy, direct)
    assert store.get("one") == b"1"
    copies = pickle.loads(pickle.dumps([store, fresh]))
    back_at = time.monotonic() + 3
    proxy.choose = lambda _method, _path: "reset" if time.monotonic() < back_at else None
    with pytest.raises(StoreUnavailableError):
        copies[1].get("one")
    assert time.monotonic() < back_at
    assert copies[0].get("one") == b"1"


def test_a_first_request_that_uses_up_all_patience_is_repeated_once(
    servers: dict[str, S3Server], proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.storage._STALL_S", 1)
    monkeypatch.setattr("services.storage._FIRST_PATIENCE_S", 1.0)
    direct = servers["juicefs"].make_store()
    direct.put("one", b"1" * 10_000)
    proxy.stall_s = 3
    remaining = iter(["stall"])
    proxy.choose = lambda _method, _path: next(remaining, None)
    assert len(through(proxy, direct).get("one")) == 10_000
    assert proxy.counts == {"stall": 1, "none": 1}


@pytest.mark.soak
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_loses_no_image(world: World, proxy: FaultyProxy, fault: str, share: float):
    proxy.choose = choose_at_random(fault, share)
    world.check(proxy, run_here)
    assert proxy.counts[fault]


@pytest.mark.soak
@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_of_a_minute_loses_no_image(world: World, proxy: FaultyProxy, kind: str):
    outage = Outage(proxy, kind, seconds=60)
    with outage.watch():
        world.check(proxy, run_here)
