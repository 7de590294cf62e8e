"""`client.jobs` against the real application with jobs that really run, and against a server that cuts its streams."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dap_client import Client, Job, NotFound, OutputInUse, UnreachableError, WrongState
from dap_client.errors import IdempotencyKeyReused, PlaceNotAllowed
from dap_client.event_streams import read_stream

from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from tests.client_builders import CUT, Reply, Seen, make_problem, serve_replies
from tests.job_api_builders import JobPlace, fail, succeed_in_part, wait_for_stop
from tests.mining_builders import make_labeler, mine_folder, write_colour_folder

NUM_EVENTS = 60


@pytest.fixture
def client(place: JobPlace) -> Iterator[Client]:
    with place.serve() as http, Client(str(http.base_url), max_retries=2, timeout_s=10) as client:
        yield client


def count_up(_spec: Any, context: JobContext) -> Outcome:
    context.progress.start(NUM_EVENTS, parts=1)
    for number in range(NUM_EVENTS):
        context.progress.add(1)
        context.add_event("metrics", step=number, loss=1.0 / (number + 1))
        time.sleep(0.005)
    return Outcome(JobState.SUCCEEDED, {"made": NUM_EVENTS})


def run_soon(place: JobPlace, job: Job, work: Any = count_up) -> threading.Thread:
    thread = threading.Timer(0.2, place.run, [job.id, work])
    thread.start()
    return thread


def test_a_job_is_submitted_watched_and_waited_for(client: Client, place: JobPlace, capsys: pytest.CaptureFixture[str]):
    job = client.jobs.submit(place.make_mine())
    assert (job.state, job.has_ended, client.jobs.get(job.id).id) == ("QUEUED", False, job.id)
    thread = run_soon(place, job)
    events = list(job.events())
    assert [one.values["step"] for one in events if one.kind == "metrics"] == list(range(NUM_EVENTS))
    assert [one.id for one in events] == [one.id for one in place.jobs.read_events(job.id)]
    assert job.wait(progress=True).result == {"made": NUM_EVENTS}
    assert f"{job.id}: SUCCEEDED" in capsys.readouterr().err
    assert [one["step"] for one in job.metrics()] == list(range(NUM_EVENTS))
    assert list(job.events(after=events[-1].id)) == []
    assert [one["id"] for one in client.jobs.list(state="SUCCEEDED")] in ([job.id], [])
    thread.join()


def test_waiting_ends_in_time_and_the_job_goes_on(client: Client, place: JobPlace):
    job = client.jobs.submit(place.make_mine())
    seen: list[str] = []
    with pytest.raises(TimeoutError, match="is QUEUED after"):
        job.wait(timeout_s=0.5, progress=lambda one: seen.append(one.state))
    assert seen == ["QUEUED"]


def test_jobs_are_stopped_and_go_on(client: Client, place: JobPlace):
    job = client.jobs.submit(place.make_mine())
    thread = place.start(job.id, wait_for_stop)
    assert job.cancel().values["cancel_requested"]
    assert job.wait(timeout_s=20).state == "CANCELLED"
    thread.join()
    assert job.resume().state == "QUEUED"
    place.start(job.id, succeed_in_part).join()
    again = job.refresh().retry_failed()
    assert again.id != job.id
    assert again.values["spec"]["growth"] == "failed-images"
    with pytest.raises(WrongState):
        job.cancel()


def test_a_list_is_a_pipeline_and_refusals_have_their_classes(client: Client, place: JobPlace):
    recut = {"kind": "recut", "label_set": {"job": 0}, "out": str(place.data / "again")}
    first, second = client.jobs.submit([place.make_mine(), recut], idempotency_key="two")
    assert second.values["after"] == [first.id]
    assert [one.id for one in client.jobs.submit([place.make_mine(), recut], idempotency_key="two")] == [
        first.id,
        second.id,
    ]
    with pytest.raises(IdempotencyKeyReused):
        client.jobs.submit(place.make_mine("else"), idempotency_key="two")
    with pytest.raises(OutputInUse):
        client.jobs.submit(place.make_mine())
    with pytest.raises(PlaceNotAllowed, match="dap cp /home/ann/cats"):
        client.jobs.submit(place.make_mine("x") | {"source": ["/home/ann/cats"]})
    with pytest.raises(NotFound):
        client.jobs.get("nobody")
    with pytest.raises(ValueError, match="an id of a job"):
        client.jobs.get("../keys")


def test_what_a_job_has_made_is_listed(client: Client, place: JobPlace):
    photos = write_colour_folder(place.data / "photos", 4)
    (photos / "x0" / "bad.png").write_bytes(b"no image")
    job = client.jobs.submit(place.make_mine())
    assert (list(job.failures()), list(job.artifacts()), job.samples(), job.logs()) == ([], [], [], "")

    def mine(_spec: Any, _context: JobContext) -> Outcome:
        from dap_core.stores import LocalStore

        mine_folder(make_labeler(), photos, LocalStore(place.data / "labels"))
        return Outcome(JobState.PARTIALLY_SUCCEEDED, {})

    place.run(job.id, mine)
    place.store.put(f"jobs/{job.id}/logs/0001-0a.log", b"mined\n")
    [failure] = job.failures()
    assert (failure["key"], failure["error_type"]) == ("x0/bad.png", "not-an-image")
    places = {one["place"]: one["size"] for one in job.artifacts()}
    assert places[str(place.data / "labels" / "manifest.json")] > 0
    assert all(Path(name).stat().st_size == size for name, size in places.items())
    samples = job.samples()
    assert len(samples) == 4
    assert all(one["boxes"] and one["labels"] for one in samples)
    assert len(job.samples(limit=2)) == 2
    assert job.logs() == "==> 0001-0a.log <==\nmined\n\n"


def make_lines(*numbers: int) -> bytes:
    return b"".join(
        f'id: 1.{n}\nevent: shard\ndata: {{"id": "1.{n}", "time": "t", "kind": "shard", "n": {n}}}\n\n'.encode()
        for n in numbers
    )


def test_cut_streams_are_joined_again(monkeypatch: pytest.MonkeyPatch):
    """Every stream is cut in the middle of an event; some connections end without an answer."""
    monkeypatch.setattr("dap_client.jobs.time", SimpleNamespace(sleep=lambda _: None))
    num_events = 50

    def answer(seen: Seen) -> Any:
        if "events" not in seen.path:
            return Reply(200, json.dumps({"id": "j", "state": "RUNNING"}).encode())
        last = int(seen.headers.get("last-event-id", "1.0").partition(".")[2])
        if last == num_events:
            return Reply(204, b"")
        if len(server.seen) % 5 == 0:
            return CUT
        body = make_lines(*range(last + 1, min(last + 3, num_events + 1)))
        return Reply(200, body, {"Content-Type": "text/event-stream"}, cut_after=len(make_lines(last + 1)) + 20)

    with serve_replies(answer) as server, Client(server.url) as client:
        found = list(client.jobs.get("j").events())
    assert [one.values["n"] for one in found] == list(range(1, num_events + 1))
    assert len(server.seen) > 50


def test_a_service_that_is_gone_ends_a_watch():
    job = Reply(200, json.dumps({"id": "j", "state": "RUNNING"}).encode())
    for reply, error in ((CUT, UnreachableError), (make_problem("not-found", 404), NotFound)):
        with serve_replies(job, reply) as server, Client(server.url, max_retries=1) as client:
            events = client.jobs.get("j").events()
            with pytest.raises(error):
                list(events)


def test_a_submission_is_sent_again_under_the_same_key():
    job = Reply(201, json.dumps({"id": "j", "state": "QUEUED"}).encode())
    with serve_replies(CUT, CUT, job) as server, Client(server.url) as client:
        client.jobs.submit({"kind": "mine"})
        first, second, third = (one.headers["idempotency-key"] for one in server.seen)
        assert first == second == third
        client.jobs.submit({"kind": "mine"})
        assert server.seen[-1].headers["idempotency-key"] != first


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (b"", []),
        (make_lines(1, 2), ["1.1", "1.2"]),
        (b": still here\n\nretry: 1000\n\n" + make_lines(1), ["1.1"]),
        (make_lines(1) + b"id: 1.2\ndata: {}", ["1.1"]),
    ],
)
def test_whole_events_are_read(text: bytes, ids: list[str]):
    assert [one.id for one in read_stream(text.decode().split("\n"))] == ids


def test_a_failed_job_says_why(client: Client, place: JobPlace):
    job = client.jobs.submit(place.make_mine())
    place.start(job.id, fail).join()
    assert job.wait().values["message"] == "it is broken"
