"""Planning a bucket of very many keys: all of them, once each, in bounded time and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from dap_core.class_lists import imagenet_classes
from dap_core.datasets import read_image_objects
from dap_core.label_sets.plan import assign_shards
from services.storage import S3Options, S3Store
from tests.listing_server import BUCKET, Listing, run_listing
from tests.planning_process import measure_planning
from tests.s3_servers import S3_ENVIRONMENT

NUM_SHORT, NUM_LONG = 20_000, 1_000_000
MOST_SECONDS, MOST_BYTES = 600, 10**9
MOST_BYTES_PER_KEY = 450
"""Beyond what the process has loaded: two plans by column, their object, and room to sort."""


@pytest.fixture(scope="module")
def wnids() -> list[str]:
    return [item.wnid for item in imagenet_classes().classes]


def test_every_page_of_a_listing_is_planned_once(wnids: list[str], monkeypatch: pytest.MonkeyPatch):
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with run_listing(NUM_SHORT, wnids) as url:
        store = S3Store(BUCKET, "", S3Options(endpoint_url=url))
        source = read_image_objects(store)
        one_class = [info.key for info in store.list_objects(f"{wnids[7]}/")]
        store.client.close()
    listing = Listing(NUM_SHORT, wnids)
    assert [row.key for row in source.rows] == [listing.key(index) for index in range(NUM_SHORT)]
    assert one_class == [row.key for row in source.rows if row.labels == (wnids[7],)]
    shards = assign_shards(source.rows)
    assert sorted(row.key for rows in shards.values() for row in rows) == [row.key for row in source.rows]
    assert [len(rows) for rows in shards.values()] == [1000] * 20


@pytest.mark.soak
def test_a_million_keys_are_shown_in_ten_minutes_and_a_gigabyte(wnids: list[str]):
    with run_listing(NUM_LONG, wnids) as url:
        used = measure_planning(url, "plan", f"s3://{BUCKET}")
    assert used["seconds"] <= MOST_SECONDS
    assert used["peak_bytes"] <= MOST_BYTES


@pytest.mark.soak
def test_a_million_keys_are_planned_for_mining_in_ten_minutes_and_bounded_memory(wnids: list[str], tmp_path: Path):
    with run_listing(NUM_LONG, wnids) as url:
        used = measure_planning(url, "mine", f"s3://{BUCKET}", str(tmp_path / "labels"))
    assert (used["rows"], used["shards"], used["segments"]) == (NUM_LONG, 1000, 1)
    assert (used["committed"], used["unknown"]) == (0, 0)
    assert used["seconds"] <= MOST_SECONDS
    assert used["grown_bytes"] <= MOST_BYTES_PER_KEY * NUM_LONG
