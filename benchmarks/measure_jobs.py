"""Measures what people wait for their boxes while a bulk job runs on the same cores, and writes jobs.md.

    python benchmarks/measure_jobs.py ../shared/data/imagenet-320

About four minutes on two cores, which should have nothing else to do.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from dap_client import Client
from measure_mining import describe_machine

from dap_core.datasets import open_source
from services.bare_labeler import read_images
from services.launching import run_server
from services.loads import LoadResult, run_closed_loop
from services.measuring import make_contestant

NUM_CALLS = 60
"""One after the other, in each of the rounds, idle and busy in turn."""
NUM_ROUNDS = 3
MOST = 3.0
"""The stated factor: the slowest answers beside a bulk job take at most so many times as long as without."""


@dataclass(frozen=True, slots=True)
class Round:
    """The same calls without and with a bulk job, and what the job did meanwhile."""

    idle: LoadResult
    busy: LoadResult
    num_labelled: int

    def ratio(self, percent: float) -> float:
        """Busy over idle."""
        return self.busy.percentile_s(percent) / self.idle.percentile_s(percent)


def measure(images: Path, folder: Path) -> list[Round]:
    """Rounds on one service whose store is in `folder`."""
    store = folder / "store"
    shutil.copytree(images, store / "data" / "photos")
    encoded = read_images(open_source([images]), NUM_CALLS)
    service = make_contestant("service", encoded, "--store", str(store), "--max-jobs", "1", "--no-ray")
    calls, rounds = service.calls, []
    with run_server(service.command, folder / "service.log") as server, Client(server.url) as client:
        run_closed_loop(server.url, calls[:10], in_flight=1)
        for number in range(NUM_ROUNDS):
            idle = run_closed_loop(server.url, calls, in_flight=1)
            spec = {"kind": "mine", "source": [f"{store}/data/photos"], "out": f"{store}/data/labels-{number}"}
            job = client.jobs.submit(spec)
            while not (before := (job.refresh().values["progress"] or {}).get("done")):
                time.sleep(0.2)
            busy = run_closed_loop(server.url, calls, in_flight=1)
            done = job.refresh().values["progress"]["done"]
            assert not job.has_ended, "the job was over too soon; take more images"
            job.cancel().wait(timeout_s=60)
            rounds.append(Round(idle, busy, done - before))
    return rounds


def describe(rounds: list[Round]) -> list[str]:
    """The table, and what came of the stated factor."""
    lines = [
        "| round | p50 idle | p50 busy | p99 idle | p99 busy | p99 busy / idle | the job meanwhile |",
        "|" + "---|" * 7,
    ]
    for number, one in enumerate(rounds, 1):
        times = [load.percentile_s(percent) * 1000 for percent in (50, 99) for load in (one.idle, one.busy)]
        figures = " | ".join(f"{value:.0f} ms" for value in times)
        rate = one.num_labelled / one.busy.wall_s
        lines.append(f"| {number} | {figures} | {one.ratio(99):.2f} | {rate:.2f} images/s |")
    worst = max(one.ratio(99) for one in rounds)
    verdict = "held" if worst <= MOST else "NOT held"
    middle = statistics.median(one.ratio(99) for one in rounds)
    return [
        *lines,
        "",
        f"p99 with a job over p99 without: median {middle:.2f}, worst {worst:.2f}; {MOST:g} is {verdict}.",
    ]


def main() -> None:
    """Runs the measurement and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(given.images, Path(folder))
    text = [
        "# Jobs beside requests",
        "",
        f"`python benchmarks/measure_jobs.py IMAGES`: {NUM_CALLS} requests one after the other, first alone, then",
        "while a job of kind mine labels the same images on the same cores. Runners have niceness 10, so the labeler",
        f"that people wait for goes first. The p99 of {NUM_CALLS} answers is the slowest of them.",
        "",
        *describe_machine(),
        "",
        *describe(rounds),
    ]
    Path(__file__).with_name("jobs.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
