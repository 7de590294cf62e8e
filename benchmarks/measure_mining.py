"""Measures `dap mine` and `dap recut` on a folder of images, as whole commands, and writes mining.md.

    python benchmarks/measure_mining.py ../shared/data/imagenet-320

Each command runs in a process of its own. `recut` is pinned to one core and repeated; its images/s, printed
by the command itself, cover reading, merging, cutting and writing, start-up excluded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "timm", "opencv-python-headless", "numpy", "pyarrow")


@dataclass(frozen=True)
class Run:
    """One finished command: what it printed as JSON, wall and CPU seconds, peak memory of its process."""

    result: dict[str, Any]
    wall_s: float
    cpu_s: float
    peak_mib: float


def run_command(*arguments: str, core: int | None = None) -> Run:
    """Runs `dap` with `--json` and measures its process, on one core when given."""
    started = time.perf_counter()
    pin = None if core is None else lambda: os.sched_setaffinity(0, {core})
    command = [sys.executable, "-m", "clients.cli.main", *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=pin) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    wall = time.perf_counter() - started
    return Run(json.loads(output), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def describe_machine() -> list[str]:
    """Hardware, versions and date, as Markdown lines."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return [
        f"- {len(os.sched_getaffinity(0))} cores, {processor}, no GPU; Python {platform.python_version()}",
        f"- {versions}",
        f"- {datetime.now(UTC):%Y-%m-%d}",
    ]


def make_report(images: str, mine: Run, recuts: list[Run]) -> str:
    """The page, as Markdown."""
    speeds = [run.result["images_per_s"] for run in recuts]
    rows = [
        (
            f"`dap mine {images} --out A`",
            f"{mine.result['images_per_s']:.2f}",
            f"{mine.wall_s:.1f}",
            f"{mine.cpu_s:.1f}",
            f"{mine.peak_mib:.0f}",
        ),
        (
            f"`dap recut A --out B`, one core, median of {len(recuts)} ({min(speeds):.0f} to {max(speeds):.0f})",
            f"{statistics.median(speeds):.0f}",
            f"{statistics.median(run.wall_s for run in recuts):.2f}",
            f"{statistics.median(run.cpu_s for run in recuts):.2f}",
            f"{max(run.peak_mib for run in recuts):.0f}",
        ),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join(
        [
            "# Mining and re-cutting",
            "",
            f"`python benchmarks/measure_mining.py {images}`: {mine.result['images']} images, recipe "
            f"{mine.result['recipe']}, {mine.result['classifier']} on {mine.result['engine']}, "
            f"{mine.result['boxes_per_image']} boxes per image.",
            "",
            *describe_machine(),
            "",
            "| command | images/s | wall s | CPU s | peak MiB |",
            "|---|---|---|---|---|",
            table,
            "",
            "images/s leave out start-up (imports, loading the classifier); wall and CPU seconds include it.",
            "",
        ]
    )


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="an ImageNet-style folder")
    parser.add_argument("--repeats", type=int, default=7, help="runs of recut")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("mining.md"))
    arguments = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        labels = f"{folder}/labels"
        mine = run_command("mine", str(arguments.images), "--out", labels)
        recuts = [
            run_command("recut", labels, "--out", f"{folder}/cut{index}", core=core)
            for index in range(arguments.repeats)
        ]
    report = make_report(arguments.images.name, mine, recuts)
    arguments.out.write_text(report)
    print(report)


if __name__ == "__main__":
    main()
