"""What holds of jobs, asked of two services in turn: two processes on one bucket without conditional writes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

import httpx
import pytest
from dap_client import Client, Job

from services.jobs.job_store import JobStore
from services.keys import create_key
from tests.bucket_services import Services, make_services
from tests.s3_servers import S3Server

NUM_IMAGES, SHARD_IMAGES = 110, 2
NUM_STEPS = 80
CANCELLED_S, STALLED_S = 10.0, 60.0
Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def services(servers: dict[str, S3Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("two")
    with make_services(servers["juicefs"], folder) as made:
        made.put_pictures(NUM_IMAGES)
        made.start(2).close()
        yield made


@pytest.fixture(scope="module")
def tokens(services: Services) -> dict[str, str]:
    """Keys of two people."""
    return {name: create_key(services.store, name, ["jobs"])[1] for name in ("ann", "bob")}


@pytest.fixture(scope="module")
def clients(services: Services, tokens: dict[str, str]) -> Iterator[list[Client]]:
    """One of each service, with ann's key."""
    first, second = (Client(url, api_key=tokens["ann"]) for url in services.urls)
    with first, second:
        yield [first, second]


@pytest.fixture(scope="module")
def make_mine(services: Services) -> Make:
    """Jobs with outputs of their own."""
    numbers = count()

    def make(**fields: Any) -> dict[str, Any]:
        return services.make_mine(f"labels-{next(numbers)}", **{"shard_images": SHARD_IMAGES, **fields})

    return make


def check_labels(services: Services, out: str) -> None:
    services.check_labels(out.rpartition("/")[2], NUM_IMAGES, NUM_IMAGES // SHARD_IMAGES)


def test_a_hundred_requests_under_one_key_are_one_job(services: Services, tokens: dict[str, str], make_mine: Make):
    headers = {"Authorization": f"Bearer {tokens['ann']}", "Idempotency-Key": "hundred"}
    body = make_mine()

    def send(number: int) -> httpx.Response:
        return httpx.post(f"{services.urls[number % 2]}/v1/jobs", json=body, headers=headers, timeout=120)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(send, range(100)))
    assert {one.status_code for one in answers} <= {200, 201}
    [job] = {one.json()["id"] for one in answers}
    listed = JobStore(services.store).list_jobs()
    assert [one for one in listed if JobStore(services.store).read_spec(one).out == body["out"]] == [job]  # type: ignore[attr-defined]


def test_what_cannot_be_has_its_status(services: Services, tokens: dict[str, str], make_mine: Make):
    ann, bob = ({"Authorization": f"Bearer {tokens[name]}"} for name in ("ann", "bob"))
    first, second = (f"{url}/v1/jobs" for url in services.urls)
    body = make_mine()
    job = httpx.post(first, json=body, headers=ann, timeout=60).json()["id"]
    assert httpx.get(f"{second}/{job}", headers=bob, timeout=60).status_code == 404
    assert httpx.post(f"{second}/{job}/retry-failed", headers=ann, timeout=60).status_code == 409
    assert httpx.post(second, json=make_mine(colour="red"), headers=ann, timeout=60).status_code == 422
    inside = make_mine(out=services.place("photos/labels"))
    assert httpx.post(second, json=inside, headers=ann, timeout=60).status_code == 409
    assert httpx.post(second, json=body, headers=ann, timeout=60).status_code == 409
    assert httpx.post(f"{second}/{job}/cancel", headers=ann, timeout=60).status_code in (200, 202)


def test_a_job_is_cancelled_at_one_service_and_goes_on_at_the_other(
    services: Services, clients: list[Client], make_mine: Make
):
    body = make_mine()
    job = clients[0].jobs.submit(body)
    services.wait_for_more(body["out"], than=0)
    began = time.monotonic()
    cancelled = clients[1].jobs.get(job.id).cancel().wait(timeout_s=60)
    assert time.monotonic() - began < CANCELLED_S
    assert cancelled.state == "CANCELLED"
    done = services.count_done(body["out"])
    assert 0 < done < NUM_IMAGES // SHARD_IMAGES
    resumed = clients[0].jobs.get(job.id).resume().wait(timeout_s=120)
    assert (resumed.state, resumed.values["attempt"]) == ("SUCCEEDED", 2)
    check_labels(services, body["out"])


@pytest.mark.soak
def test_a_training_is_cancelled_at_one_service_and_goes_on_at_the_other(
    services: Services, clients: list[Client], make_mine: Make
):
    body, out = make_mine(), "pretrained"
    assert clients[0].jobs.submit(body).wait(timeout_s=120).state == "SUCCEEDED"
    label_set = body["out"].rpartition("/")[2]
    job = clients[0].jobs.submit(services.make_pretrain(label_set, out, NUM_STEPS))
    services.wait_for_more(services.place(out), than=0)
    began = time.monotonic()
    cancelled = clients[1].jobs.get(job.id).cancel().wait(timeout_s=60)
    assert time.monotonic() - began < CANCELLED_S
    assert cancelled.state == "CANCELLED"
    assert 0 < services.count_done(services.place(out)) < NUM_STEPS
    resumed = clients[0].jobs.get(job.id).resume().wait(timeout_s=240)
    assert (resumed.state, resumed.values["attempt"]) == ("SUCCEEDED", 2)
    services.check_metrics(out, NUM_STEPS)


def test_a_stream_that_is_cut_fifty_times_and_goes_on_elsewhere_is_whole(
    services: Services, clients: list[Client], tokens: dict[str, str], make_mine: Make
):
    job = clients[0].jobs.submit(make_mine())
    seen: list[str] = []
    for cut in range(1_000):
        found, is_over = read_some(services.urls[cut % 2], job, tokens["ann"], seen[-1] if seen else None)
        seen += found
        if is_over:
            break
    assert cut >= 50
    assert clients[1].jobs.get(job.id).state == "SUCCEEDED"
    assert seen == [event.id for event in JobStore(services.store).read_events(job.id)]


def read_some(url: str, job: Job, token: str, after: str | None) -> tuple[list[str], bool]:
    """The id of the next event, and whether there are no more; the rest of the stream is cut off."""
    headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": after} if after else {})}
    found: list[str] = []
    with httpx.stream("GET", f"{url}/v1/jobs/{job.id}/events", headers=headers, timeout=60) as answer:
        if answer.status_code == httpx.codes.NO_CONTENT:
            return [], True
        for line in answer.iter_lines():
            if line.startswith("data:"):
                found.append(json.loads(line[5:])["id"])
                break
    return found, False


@pytest.mark.soak
def test_a_suspended_runner_is_shown_taken_over_and_doubles_nothing(
    services: Services, clients: list[Client], make_mine: Make
):
    body = make_mine()
    job = clients[0].jobs.submit(body)
    services.wait_for_more(body["out"], than=0)
    pid, began = services.signal_runner(job, signal.SIGSTOP), time.monotonic()
    other = clients[1].jobs.get(job.id)
    while not other.refresh().values["stalled"]:
        assert time.monotonic() - began < STALLED_S
        time.sleep(0.5)
    while other.refresh().values["attempt"] < 2 or other.state != "RUNNING":
        assert time.monotonic() - began < 2 * STALLED_S + CANCELLED_S
        time.sleep(0.5)
    with suppress(ProcessLookupError):  # it was killed before it could wake up
        os.kill(pid, signal.SIGCONT)
    assert other.wait(timeout_s=120).state == "SUCCEEDED"
    check_labels(services, body["out"])
