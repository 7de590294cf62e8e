"""S3 as a store, against two real servers and through a network that fails."""

from __future__ import annotations

import os
import pickle
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dap_core.errors import (
    InputError,
    ObjectChangedError,
    ObjectMissingError,
    StoreRefusedError,
    StoreUnavailableError,
)
from dap_core.stores import LocalStore
from services.storage import S3Options, S3Store, open_store, split_s3_uri
from tests.faulty_proxy import FaultyProxy, through
from tests.s3_servers import S3Server

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def test_objects_go_in_and_come_out(server: S3Server):
    store = server.make_store("some/prefix")
    store.put("a/b.bin", b"0123456789")
    store.put("a/é ü+&.bin", memoryview(b"x"))
    assert store.get("a/b.bin") == b"0123456789"
    assert store.get_range("a/b.bin", 2, 5) == b"234"
    assert store.get_range("a/b.bin", 8, 50) == b"89"
    assert store.get_range("a/b.bin", 3, 3) == b""
    found = list(store.list_objects("a/"))
    assert [(one.key, one.size) for one in found] == [("a/b.bin", 10), ("a/é ü+&.bin", 1)]
    assert abs(found[0].modified - time.time()) < 60
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert [one.key for one in store.list_objects()] == ["a/é ü+&.bin"]


def test_what_is_missing_or_was_overwritten_is_told_apart(server: S3Server):
    store = server.make_store()
    with pytest.raises(ObjectMissingError, match=r"get s3://test-\w+/nowhere: there is no such object"):
        store.get("nowhere")
    store.put("one", b"first")
    [listed] = store.list_objects()
    assert store.get("one", etag=listed.etag) == b"first"
    time.sleep(1)  # JuiceFS gives no etags, and times of whole seconds
    store.put("one", b"other")
    with pytest.raises(ObjectChangedError, match="it changed since it was listed"):
        store.get("one", etag=listed.etag)


def test_listings_of_several_pages_are_sorted_and_stay_below_their_prefix(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.storage._PAGE_KEYS", 20)
    store = server.make_store("top")
    keys = [f"{number:04d}" for number in range(95, 145)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    replace(store, prefix="top2").put("other", b"")
    assert [one.key for one in store.list_objects()] == keys
    assert [one.key for one in store.list_objects("00")] == keys[:5]


def test_large_objects_arrive_whole(server: S3Server):
    store = server.make_store()
    data = random.Random(0).randbytes(70 * 2**20)
    store.put("large", data)
    assert store.get("large") == data


def test_a_store_travels_without_its_credentials(server: S3Server):
    store = server.make_store()
    store.put("one", b"1")
    pickled = pickle.dumps(store)
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in pickled
    copy = pickle.loads(pickled)
    assert (copy, copy.get("one")) == (store, b"1")


def test_refusals_come_at_once_and_say_why(servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch):
    options = S3Options(endpoint_url=servers["juicefs"].url)
    started = time.monotonic()
    with pytest.raises(StoreRefusedError, match=r"list s3://no-such-bucket-here/: there is no such bucket"):
        list(S3Store("no-such-bucket-here", "", options).list_objects())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreRefusedError, match="the secret key is wrong"):
        list(S3Store("any-bucket", "", options).list_objects())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(StoreRefusedError, match="the access key is not known there"):
        list(S3Store("any-bucket", "", options).list_objects())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreRefusedError, match="there are no credentials; set AWS_ACCESS_KEY_ID"):
        list(S3Store("any-bucket", "", options).list_objects())
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreRefusedError, match=r"profile \(nobody\) could not be found"):
        list(S3Store("any-bucket", "", options).list_objects())
    assert time.monotonic() - started < 20


def test_a_server_that_is_not_there_is_given_up_after_some_patience():
    store = S3Store("bucket", "", S3Options(endpoint_url="http://127.0.0.1:9", patience_s=1.0))
    started = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="Could not connect"):
        store.get("any")
    assert 1 <= time.monotonic() - started < 15


@pytest.mark.parametrize("share", [pytest.param(0.05, marks=pytest.mark.soak), 0.2])
def test_every_object_arrives_whole_through_a_network_that_fails(
    servers: dict[str, S3Server], proxy: FaultyProxy, share: float
):
    direct = servers["juicefs"].make_store("images")
    store = through(proxy, direct)
    numbers, lock = random.Random(1), threading.Lock()

    def choose(method: str, _path: str) -> str | None:
        with lock:
            faults = ["500", "503", "reset", *(["short"] if method == "GET" else [])]
            return numbers.choice(faults) if numbers.random() < share else None

    proxy.choose = choose
    objects = {f"{number}.bin": random.Random(number).randbytes(20_000) for number in range(20)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: store.put(*item), objects.items()))
        found = list(pool.map(store.get, objects))
    assert found == list(objects.values())
    assert [one.key for one in direct.list_objects()] == sorted(objects)
    assert sum(proxy.counts.values()) - proxy.counts["none"] >= 20 * share


@pytest.mark.parametrize("fault", ["trickle", "stall"])
def test_a_body_that_trickles_or_stalls_is_asked_for_again(
    servers: dict[str, S3Server], proxy: FaultyProxy, fault: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.storage._STALL_S", 2)
    monkeypatch.setattr("services.storage._SLOW_AFTER_S", 1.0)
    monkeypatch.setattr("services.storage._PIECE_BYTES", 512)
    direct = servers["juicefs"].make_store()
    data = random.Random(2).randbytes(60_000)
    direct.put("one", data)
    proxy.stall_s = 8
    remaining = iter([fault])
    proxy.choose = lambda _method, _path: next(remaining, None)
    assert through(proxy, direct).get("one") == data
    assert proxy.counts == {fault: 1, "none": 1}


def test_an_outage_is_waited_out(servers: dict[str, S3Server], proxy: FaultyProxy):
    direct = servers["juicefs"].make_store()
    direct.put("one", b"1")
    store = through(proxy, direct)
    assert store.get("one") == b"1"
    back_at = time.monotonic() + 3
    proxy.choose = lambda _method, _path: "reset" if time.monotonic() < back_at else None
    assert store.get("one") == b"1"
    assert time.monotonic() < back_at + 15
    proxy.choose = lambda _method, _path: "403"
    with pytest.raises(StoreRefusedError, match="access is denied; check the rights"):
        store.get("one")


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "s3://user:pass@bucket/x", "s3://bucket/../x", "s3://bucket?x/y"])
def test_what_is_no_plain_uri_is_refused_without_repeating_it(uri: str):
    with pytest.raises(InputError, match=r"expected s3://bucket/prefix without '..', user or query"):
        split_s3_uri(uri)


def test_uris_name_stores(tmp_path: Path):
    assert isinstance(open_store(tmp_path), LocalStore)
    assert open_store("s3://bucket/some/prefix/").uri == "s3://bucket/some/prefix"
    with pytest.raises(InputError, match="s3://bucket/prefix or a local directory, got gopher://"):
        open_store("gopher://bucket")
