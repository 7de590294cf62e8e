"""Measures engines, `dap mine` and `dap recut` on a folder of images, and writes mining.md.

    python benchmarks/measure_mining.py ../shared/data/imagenet-320

Engines are compared by `dap bench mine`, in turn on the same images; the other commands are measured as a whole.
Each command runs in a process of its own. `recut` is pinned to one core and runs on the mined rows ten times
over, so that it lasts a few seconds; its images/s, printed by the command itself, cover reading, merging, cutting
and writing, start-up excluded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dap_core.label_sets import PlanRow, open_label_set
from dap_core.label_sets.plan import assign_shards, freeze_plan
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.label_sets.shards import ShardEntry, ShardFooter, commit_shard, rows_to_batches
from dap_core.stores import LocalStore

TIMES = 10
PACKAGES = ("torch", "torchvision", "timm", "openvino", "opencv-python-headless", "numpy", "pyarrow")


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


def repeat_label_set(source: Path, destination: Path, times: int) -> None:
    """A label set that holds the rows of another one `times` over, under keys of their own."""
    label_set = open_label_set(source)
    rows = {
        f"{number}/{row.key}": replace(row, key=f"{number}/{row.key}")
        for number in range(times)
        for row in label_set.rows(images=True)
    }
    listed = [PlanRow(key, row.etag, len(row.image or b""), ("",)) for key, row in rows.items()]
    store = LocalStore(destination)
    plan = start_label_set(store, *freeze_plan(assign_shards(listed), label_set.manifest.settings))

    def make_shard(members: tuple[PlanRow, ...], footer: ShardFooter) -> ShardEntry:
        return commit_shard(store, rows_to_batches([rows[member.key] for member in members]), [], footer)

    run_plan(store, plan, make_shard)


def describe_machine(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Hardware, versions and date, as Markdown lines."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return [
        f"- {len(os.sched_getaffinity(0))} cores, {processor}, no GPU; Python {platform.python_version()}",
        f"- {versions}",
        f"- {datetime.now(UTC):%Y-%m-%d}",
    ]


def describe_recuts(name: str, runs: list[Run]) -> tuple[str, ...]:
    """One line of the table: medians over the runs of one recut command."""
    speeds = [run.result["images_per_s"] for run in runs]
    return (
        f"`{name}`, one core, median of {len(runs)} ({min(speeds):.0f} to {max(speeds):.0f})",
        f"{statistics.median(speeds):.0f}",
        f"{statistics.median(run.wall_s for run in runs):.2f}",
        f"{statistics.median(run.cpu_s for run in runs):.2f}",
        f"{max(run.peak_mib for run in runs):.0f}",
    )


def describe_engines(bench: dict[str, Any]) -> list[str]:
    """The table of `dap bench mine`, where the time goes, and memory."""
    header = "| engine | images/s | bare passes | / naive | / bare | network, wall | decoding, CPU | cutting, CPU |"
    lines = [header, "|---" * 8 + "|", f"| naive, float32 | {bench['naive_images_per_s']:.2f} | | 1 | | | | |"]
    for one in bench["engines"]:
        shares = one["shares"]
        figures = (
            f"{one['engine']} {one['precision']}",
            f"{one['images_per_s']:.2f}",
            f"{one['limit_images_per_s']:.2f}",
            f"{one['ratio_to_naive']:.2f}",
            f"{one['ratio_to_limit']:.2f}",
            f"{shares['network_wall']:.0%}",
            f"{shares['prepare_cpu']:.1%}",
            f"{shares['cut_cpu']:.1%}",
        )
        lines.append(f"| {' | '.join(figures)} |")
    small, large = bench["peak_mib"].values()
    return [
        *lines,
        "",
        f"{bench['num_rounds']} rounds of 32 images; medians over rounds. naive spends "
        f"{bench['naive_share_in_passes']:.1%} of its time in the four forward passes.",
        f"Peak memory of the fastest engine: {small:.0f} MiB for 200 images, {large:.0f} MiB for 2,000 "
        f"({large / small - 1:+.1%}).",
    ]


def describe_scale(bench: dict[str, Any], num_cores: int) -> list[str]:
    """From the measured stages to ImageNet-1M and -14M; says what is measured and what computed."""
    best = bench["engines"][0]
    rate, shares = best["images_per_s"], best["shares"]
    cpu_ms = 1000 * num_cores / rate
    host_ms = cpu_ms * (shares["prepare_cpu"] + shares["cut_cpu"])
    lines = ["| machines | images/s | ImageNet-1M | ImageNet-14M |", "|---|---|---|---|"]
    lines += [format_scale(f"{cores} cores", rate / num_cores * cores) for cores in (num_cores, 16, 64, 512)]
    lines += [format_scale(f"{gpus} GPUs at the paper's 26 images/s", 26 * gpus) for gpus in (1, 64)]
    return [
        *lines,
        "",
        f"Measured: {rate:.2f} images/s on {num_cores} cores; {host_ms:.1f} ms of CPU time an image for decoding, "
        f"resizing and cutting, of {cpu_ms:.0f} ms in all.",
        "Computed: the rest, as if speed grew with cores, which holds as long as every pair of cores runs a process of "
        "its own and the store keeps up.",
        f"Not measured: any GPU. One needs {26 * host_ms / 1000:.2f} cores to be fed at the paper's 26 images/s, and "
        f"{host_ms / 10:.1f} at 100. The paper gives under 13 minutes for ImageNet-1M on 64 GPUs, with ResNet-101, "
        "whose forward pass is about twenty times the work of lite0's.",
    ]


def format_scale(name: str, rate: float) -> str:
    """One line of the table of scale."""
    return f"| {name} | {rate:.0f} | {format_hours(1_281_167 / rate)} | {format_hours(14_197_122 / rate)} |"


def format_hours(seconds: float) -> str:
    """Minutes, hours or days."""
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} days"


def describe_commands(images: str, mine: Run, recuts: dict[str, list[Run]]) -> list[str]:
    """Whole commands."""
    mined = (
        f"`dap mine {images} --out A`",
        f"{mine.result['images_per_s']:.2f}",
        f"{mine.wall_s:.1f}",
        f"{mine.cpu_s:.1f}",
        f"{mine.peak_mib:.0f}",
    )
    rows = [mined, *(describe_recuts(name, runs) for name, runs in recuts.items())]
    count = mine.result["images"]
    return [
        "| command | images/s | wall s | CPU s | peak MiB |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"{count} images, {mine.result['boxes_per_image']} boxes per image. A10 holds the rows of A {TIMES} times "
        f"over, {count * TIMES} images with their maps and bytes. images/s leave out start-up (imports, loading the "
        "classifier); wall and CPU seconds include it. With `--images reference` recut reads maps, merges, cuts and "
        "writes boxes; without, it also copies, hashes and flushes the image bytes.",
    ]


def make_report(images: str, bench: dict[str, Any], mine: Run, recuts: dict[str, list[Run]]) -> str:
    """The page, as Markdown."""
    num_cores = len(os.sched_getaffinity(0))
    parts = [
        "# Mining and re-cutting",
        "",
        f"`python benchmarks/measure_mining.py {images}`: recipe {bench['recipe']}, {bench['classifier']}.",
        "",
        *describe_machine(),
        "",
        "## Engines",
        "",
        "JPEG bytes in, boxes out, beside the paper straight (`naive`: one image at a time, four eager float32 forward "
        "passes on all cores, the shared decoding and cutting code) and the engine's own forward passes on the same "
        "canvases with nothing else (`bare passes`).",
        "",
        *describe_engines(bench),
        "",
        "## Whole commands",
        "",
        *describe_commands(images, mine, recuts),
        "",
        "## From here to ImageNet",
        "",
        *describe_scale(bench, num_cores),
        "",
    ]
    return "\n".join(parts)


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="an ImageNet-style folder")
    parser.add_argument("--seconds", type=int, default=300, help="how long engines are compared")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each recut")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("mining.md"))
    arguments = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    modes = {"dap recut A10 --out B --images reference": "reference", "dap recut A10 --out B": "keep"}
    options = ("--images", str(arguments.images), "--seconds", str(arguments.seconds), "--memory")
    bench = run_command("bench", "mine", *options).result
    with tempfile.TemporaryDirectory() as folder:
        mine = run_command("mine", str(arguments.images), "--out", f"{folder}/A")
        repeat_label_set(Path(folder, "A"), Path(folder, "A10"), TIMES)
        recuts: dict[str, list[Run]] = {name: [] for name in modes}
        for number in range(arguments.repeats):
            for name, mode in modes.items():
                out = f"{folder}/B-{mode}-{number}"
                recuts[name].append(run_command("recut", f"{folder}/A10", "--out", out, "--images", mode, core=core))
                shutil.rmtree(out)
    report = make_report(arguments.images.name, bench, mine, recuts)
    arguments.out.write_text(report)
    print(report)


if __name__ == "__main__":
    main()
