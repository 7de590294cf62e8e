"""Events of jobs over HTTP: nothing lost and nothing doubled, wherever a stream is cut; and lists of very many jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dap_core.stores import LocalStore, ObjectInfo
from services.jobs.context import JobContext
from services.jobs.job_index import JobFilter, JobIndex
from services.jobs.outcomes import Outcome
from services.jobs.ownership import Caller
from services.jobs.records import ENDED, JobRecord, JobState
from services.jobs.specs import MineSpec
from tests.api_builders import assert_problem
from tests.job_api_builders import JobPlace, fail, succeed, wait_for_stop

NUM_EVENTS = 400


def submit(client: httpx.Client, place: JobPlace, out: str = "labels") -> str:
    return str(client.post("/v1/jobs", json=place.make_mine(out)).json()["id"])


def tell_much(_spec: Any, context: JobContext) -> Outcome:
    for number in range(NUM_EVENTS):
        context.add_event("shard", shard=number)
        time.sleep(0.005)
    return Outcome(JobState.SUCCEEDED, {})


def read_stream(
    client: httpx.Client, job: str, after: str | None = None, stop_after: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Whole events of a stream, cut off in the middle of the one after `stop_after`, and the status."""
    found: list[dict[str, Any]] = []
    headers = {} if after is None else {"Last-Event-ID": after}
    with client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as answer:
        lines = answer.iter_lines() if answer.status_code == 200 else iter(())
        for line in lines:
            if line.startswith("data:"):
                found.append(json.loads(line[5:]))
                if stop_after is not None and len(found) >= stop_after:
                    break
    return found, answer.status_code


def test_a_stream_that_is_cut_fifty_times_loses_and_doubles_nothing(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    thread = place.start(job, tell_much)
    seen: list[dict[str, Any]] = []
    cuts = 0
    status = 200
    while status == 200:
        found, status = read_stream(client, job, seen[-1]["id"] if seen else None, stop_after=1 + cuts % 13)
        seen += found
        cuts += 1
    thread.join()
    stored = [event.id for event in place.jobs.read_events(job)]
    assert [one["id"] for one in seen] == stored
    assert [one["shard"] for one in seen if one["kind"] == "shard"] == list(range(NUM_EVENTS))
    assert cuts > 50
    assert status == 204


def test_a_whole_stream_goes_over_all_attempts_and_ends_with_the_job(client: httpx.Client, place: JobPlace):
    job = submit(client, place)
    place.start(job, fail).join()
    client.post(f"/v1/jobs/{job}/resume")
    place.start(job, succeed).join()
    found, _ = read_stream(client, job)
    assert [one["id"] for one in found] == ["1.1", "1.2", "2.1", "2.2"]
    assert [one["state"] for one in found] == ["RUNNING", "FAILED", "RUNNING", "SUCCEEDED"]
    assert read_stream(client, job, "2.1")[0] == found[3:]
    assert read_stream(client, job, "2.2") == ([], 204)


@pytest.mark.parametrize("after", ["x", "1", "1.2.3", "-1.0", "1.2\u00b3".encode("latin-1").decode("latin-1")])
def test_an_event_id_that_is_none_is_refused(client: httpx.Client, place: JobPlace, after: str):
    job = submit(client, place)
    answer = client.get(f"/v1/jobs/{job}/events", headers=[(b"Last-Event-ID", after.encode("latin-1"))])
    assert_problem(answer, 422, "invalid-parameter")


def test_who_watches_does_not_keep_the_service_from_ending(place: JobPlace):
    with place.serve() as client:
        job = submit(client, place)
        thread = place.start(job, wait_for_stop)
        with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
            assert next(answer.iter_lines()).startswith("retry")
            began = time.monotonic()
    place.jobs.request_cancel(job)
    thread.join()
    assert time.monotonic() - began < 10


class CountingStore(LocalStore):
    """A folder that counts what is read."""

    num_reads = num_lists = 0

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        self.num_reads += 1
        return super().get(key, etag=etag)

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.num_lists += 1
        return super().list_objects(prefix)


def write_quickly(place: JobPlace, num_jobs: int) -> None:
    """Records as `JobStore` and `Heart` put them, without waiting for the disk."""
    spec = MineSpec(source=("/photos",), out="/labels").to_json()
    for number in range(num_jobs):
        job = f"20261124T{number:06d}-mine-00000000"
        state = (JobState.SUCCEEDED, JobState.FAILED)[number % 2]
        time_text = f"2026-11-24T10:00:{number % 60:02d}.000Z"
        record = JobRecord(job=job, attempt=1, state=state, started=time_text, updated=time_text)
        owner = json.dumps({"owner": "local", "kind": "mine", "created": f"2026-{number:06d}", "after": []})
        folder = place.root / "jobs" / job
        (folder / "attempts" / "0001-0a").mkdir(parents=True)
        (folder / "spec.json").write_text(spec)
        (folder / "owner.json").write_text(owner)
        (folder / "attempts" / "0001-0a" / "record.json").write_text(record.to_json())


def test_a_page_of_ten_thousand_jobs_reads_nothing(place: JobPlace):
    num_jobs = 10_000
    write_quickly(place, num_jobs)
    store = CountingStore(place.root)
    with place.serve(place.make_desk(store)) as client:
        began = time.perf_counter()
        first = client.get("/v1/jobs").json()
        print(f"first page, index and all: {time.perf_counter() - began:.2f} s")
        assert store.num_reads == 2 * num_jobs + 1
        times, cursor = [], first["next_cursor"]
        for _ in range(20):
            began = time.perf_counter()
            page = client.get("/v1/jobs", params={"limit": 200, "state": "FAILED", "cursor": cursor}).json()
            times.append(time.perf_counter() - began)
            cursor = page["next_cursor"]
        print(f"pages of 200: {1000 * max(times):.0f} ms at most")
        assert all(one["state"] in ENDED for one in page["items"])
        assert first["items"][0]["id"] == "20261124T009999-mine-00000000"
        assert (store.num_reads, store.num_lists) <= (2 * num_jobs + 1, 3)
    another = CountingStore(place.root)
    assert JobIndex(another).list_jobs(Caller("", sees_all=True), JobFilter())[0].id == first["items"][0]["id"]
    assert another.num_reads == 1
