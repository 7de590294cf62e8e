"""Label sets mined from buckets into buckets: nothing lost, nothing doubled, whatever server and network do."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dap_core.datasets import open_source, read_image_objects
from dap_core.errors import StoreRefusedError
from dap_core.label_sets import LabelSet, open_label_set, verify_label_set
from dap_core.label_sets.fetching import Fetch, start_ahead
from dap_core.label_sets.labeling import ShardLabeler
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.stores import LocalStore, Store
from services.storage import S3Store
from tests.faulty_proxy import FaultyProxy, through
from tests.mining_builders import make_labeler, make_mined_set, mine_source, plan_source, write_colour_folder
from tests.s3_servers import S3Server
from tests.test_cli_mine import FAST, run, write_photos

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
NUM_IMAGES = 12


def upload(folder: Path, store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        list(pool.map(lambda path: store.put(path.relative_to(folder).as_posix(), path.read_bytes()), paths))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_colour_folder(tmp_path / "pictures", NUM_IMAGES)


def make_bucket(server: S3Server, folder: Path) -> tuple[S3Store, S3Store]:
    """A store of the folder's images, and one for their label set."""
    source, destination = server.make_store("pictures"), server.make_store("labels")
    upload(folder, source)
    return source, destination


def assert_same_rows(found: LabelSet, expected: LabelSet) -> None:
    """The same images with the same boxes, each once."""
    ours, theirs = ({row.key: row for row in label_set.rows()} for label_set in (found, expected))
    assert len(list(found.rows())) == len(ours) == NUM_IMAGES
    assert ours.keys() == theirs.keys()
    for key, row in ours.items():
        np.testing.assert_array_equal(row.boxes.boxes, theirs[key].boxes.boxes)
        assert (row.labels, row.sha256) == (theirs[key].labels, theirs[key].sha256)


def test_a_bucket_gives_the_boxes_of_the_folder_it_was_made_of(server: S3Server, folder: Path, tmp_path: Path):
    source, destination = make_bucket(server, folder)
    manifest = mine_source(make_labeler(), read_image_objects(source), destination, max_rows=5)
    assert (manifest.state, manifest.counts.num_ok) == ("complete", NUM_IMAGES)
    found = open_label_set(destination)
    assert verify_label_set(found) == []
    assert_same_rows(found, make_mined_set(tmp_path, num_images=NUM_IMAGES, max_rows=5))


def test_a_network_that_fails_loses_no_image(
    servers: dict[str, S3Server], proxy: FaultyProxy, folder: Path, tmp_path: Path
):
    source, destination = make_bucket(servers["juicefs"], folder)
    numbers, lock = random.Random(3), threading.Lock()

    def choose(method: str, _path: str) -> str | None:
        with lock:
            faults = ["500", "503", "reset", *(["short"] if method == "GET" else [])]
            return numbers.choice(faults) if numbers.random() < 0.2 else None

    proxy.choose = choose
    objects = read_image_objects(through(proxy, source))
    manifest = mine_source(make_labeler(), objects, through(proxy, destination), max_rows=4)
    assert (manifest.counts.num_ok, manifest.counts.num_failed) == (NUM_IMAGES, 0)
    assert sum(proxy.counts.values()) > proxy.counts["none"]
    found = open_label_set(destination)
    assert verify_label_set(found) == []
    assert_same_rows(found, make_mined_set(tmp_path, num_images=NUM_IMAGES, max_rows=4))


def test_two_runs_at_once_make_one_label_set(server: S3Server, folder: Path):
    source, destination = make_bucket(server, folder)
    start = threading.Barrier(2)

    def mine() -> str:
        start.wait()
        return mine_source(make_labeler(), read_image_objects(source), destination, max_rows=3).state

    with ThreadPoolExecutor(2) as pool:
        assert [one.result() for one in (pool.submit(mine), pool.submit(mine))] == ["complete", "complete"]
    found = open_label_set(destination)
    assert verify_label_set(found) == []
    assert sorted(row.key for row in found.rows()) == sorted(row.key for row in read_image_objects(source).rows)


def test_objects_deleted_or_overwritten_during_the_run_are_typed_failures(server: S3Server, folder: Path):
    source, destination = make_bucket(server, folder)
    listed = read_image_objects(source)
    labeler = make_labeler()
    plan = start_label_set(destination, *plan_source(labeler, listed, max_rows=3))
    later = [[row.key for row in plan.shards[shard]] for shard in sorted(plan.shards)[1:]]
    gone, changed = [keys[0] for keys in later], [keys[1] for keys in later]
    make_shard = ShardLabeler(labeler, source, destination, plan.settings)

    def make_shard_and_change_others(rows, footer):  # type: ignore[no-untyped-def]
        entry = make_shard(rows, footer)
        if entry.footer.shard == min(plan.shards):
            time.sleep(1)  # of a server without etags, changes that keep the size show in whole seconds
            for key in gone:
                source.delete(key)
            for key in changed:
                source.put(key, source.get(key)[::-1])
        return entry

    manifest = run_plan(destination, plan, make_shard_and_change_others)
    found = open_label_set(destination)
    kinds = {failure.key: failure.error_type for failure in found.failures()}
    assert kinds == {**dict.fromkeys(gone, "source-missing"), **dict.fromkeys(changed, "source-changed")}
    assert (len(gone), len(changed)) == (3, 3)
    assert (manifest.state, manifest.counts.num_ok) == ("complete", NUM_IMAGES - 6)
    assert verify_label_set(found) == []


def test_rights_lost_on_the_way_stop_the_run_and_it_goes_on_later(
    servers: dict[str, S3Server], proxy: FaultyProxy, folder: Path
):
    source, destination = make_bucket(servers["juicefs"], folder)
    labeler, shards_put = make_labeler(), []

    def choose(method: str, path: str) -> str | None:
        if method == "PUT" and "/data/" in path:
            shards_put.append(path)
        return "403" if len(shards_put) >= 2 and "pictures" in path and method == "GET" else None

    proxy.choose = choose
    objects = read_image_objects(through(proxy, source))
    frozen = plan_source(labeler, objects, max_rows=2)
    store = through(proxy, destination)
    plan = start_label_set(store, *frozen)
    started = time.monotonic()
    with pytest.raises(StoreRefusedError, match=r"get s3://.*: access is denied"):
        run_plan(store, plan, ShardLabeler(labeler, objects.store, store, plan.settings))
    assert time.monotonic() - started < 60
    partial = open_label_set(destination, allow_partial=True)
    assert (partial.manifest.state, len(partial.shards)) == ("partial", 2)
    proxy.choose = lambda _method, _path: None
    made: list[int] = []
    make_shard = ShardLabeler(labeler, objects.store, store, plan.settings)
    manifest = run_plan(store, plan, lambda rows, footer: (made.append(footer.shard), make_shard(rows, footer))[1])
    assert (manifest.state, len(made)) == ("complete", NUM_IMAGES // 2 - 2)
    assert verify_label_set(open_label_set(destination)) == []


@pytest.mark.e2e
def test_every_command_reads_and_writes_buckets(
    servers: dict[str, S3Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers["juicefs"].url)
    monkeypatch.chdir(tmp_path)
    photos = servers["juicefs"].make_store("photos")
    upload(write_photos(tmp_path / "photos"), photos)
    labels = f"s3://{photos.bucket}/labels"
    result = run("mine", photos.uri, "--out", labels, *FAST, "--json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert (values["ok"], values["state"], values["label_set"]) == (3, "complete", labels)
    assert "nothing was left to do" in run("mine", photos.uri, "--out", labels, *FAST).stdout
    assert "sound, complete: 3 images" in run("verify", labels).stdout
    assert run("stats", labels).exit_code == 0
    assert run("show", labels, "--out", "page.html").exit_code == 0
    assert Path("page.html").stat().st_size > 10_000
    assert run("export", labels, "--format", "coco", "--out", "coco").exit_code == 0
    assert len(json.loads(next(Path("coco").rglob("*.json")).read_text())["images"]) == 3
    recut = f"s3://{photos.bucket}/recut"
    assert run("recut", labels, "--out", recut, "--nms-iou", "0.5", "--images", "reference").exit_code == 0
    assert run("export", recut, "--format", "yolo", "--out", "yolo").exit_code == 0
    assert len(list(Path("yolo").rglob("*.png"))) == 3
    inside = run("mine", photos.uri, "--out", f"{photos.uri}/labels", *FAST)
    assert (inside.exit_code, "lies inside" in inside.output.replace("\n", " ")) == (2, True)
    other = run("mine", photos.uri, "--out", labels, *FAST, "--thresholds", "0.4")
    assert (other.exit_code, "thresholds" in other.output) == (2, True)


@pytest.mark.e2e
def test_a_store_that_says_no_prints_the_line_that_resumes(
    servers: dict[str, S3Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers["juicefs"].url)
    result = run("mine", write_photos(tmp_path / "photos"), "--out", "s3://there-is-no-such-bucket/labels", *FAST)
    assert result.exit_code == 4
    assert "there is no such bucket" in result.output
    assert "to go on: dap" in result.output


def test_a_local_label_set_is_what_the_bucket_holds(server: S3Server, folder: Path, tmp_path: Path):
    source, destination = make_bucket(server, folder)
    objects = read_image_objects(source)
    mine_source(make_labeler(), objects, destination, max_rows=5)
    mine_source(make_labeler(), objects, LocalStore(tmp_path / "labels"), max_rows=5)
    data = [
        sorted(one.key for one in store.list_objects("data/"))
        for store in (destination, LocalStore(tmp_path / "labels"))
    ]
    assert data[0] == data[1]


def test_what_was_begun_ahead_is_still_read_when_nothing_more_follows(folder: Path):
    class Slow(LocalStore):
        def get(self, key: str, *, etag: str | None = None) -> bytes:
            time.sleep(0.05)
            return super().get(key, etag=etag)

    rows = open_source([folder]).rows
    fetches = list(start_ahead([Fetch(Slow(folder), row) for row in rows], num_readers=2))
    assert [fetch() for fetch in fetches] == [(folder / row.key).read_bytes() for row in rows]
