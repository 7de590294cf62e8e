"""From measured costs of a stage to the nodes and the store that so many images in so many hours need.

`python -m services.scaling > docs/scale.md` works ImageNet; `python -m services.scaling IMAGES HOURS` any amount.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

NODE_CORES = 16
_SHARD_IMAGES, _SHARD_BYTES = 1_000, 128 * 10**6
_INTRO = """\
# How large a cluster

`python -m services.scaling IMAGES HOURS` computes this for other numbers. A row says where its numbers come from.

## Measured

"""
_METHOD = """
## Computed

Nodes have {cores} cores. Cores are images / (seconds x images a second and core). The store gives each image once and
takes it once, as a label set holds the images; a store that gives less than this rate is what sets the time. That speed
grows with cores is assumed: measured was one machine of two.
"""
_GPU = """
## GPUs

None was measured. The paper draws the maps of ImageNet-1M in under 13 minutes on 64 GPUs with a ResNet-101, 26 images a
second each; lite0's forward pass has about a twentieth of its work. At 26 images/s a GPU is fed by 0.12 cores, at 100
by 0.4 (4.5 ms of decoding, resizing and cutting an image, [measured](../benchmarks/mining.md)); the store is asked for
as much as above for the same time. Pre-training as in the paper, 40,038 steps of 32 images for ImageNet-1M on 16 GPUs,
reads each image once.
"""


@dataclass(frozen=True, slots=True)
class StageCost:
    """What bulk labelling was measured to do on a machine."""

    name: str
    images_per_s_core: float
    """From bytes in the store to shards in it, start-up left out."""
    source: str


@dataclass(frozen=True, slots=True)
class ImageSet:
    """So many images of a mean size in bytes."""

    name: str
    num_images: int
    mean_bytes: int


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What it takes; rates of the store are bytes/s, reading and writing alike."""

    cores: int
    nodes: int
    store_bytes_per_s: float
    num_shards: int


LITE0_BF16 = StageCost(
    "lite0, bfloat16, a labeler on Ray",
    10.45 / 2,
    "benchmarks/bulk.md: 10.45 images/s on 2 cores with AVX-512 bfloat16",
)
LITE0_FP32 = StageCost(
    "lite0, float32, a labeler on Ray",
    10.45 / 2 * 7.00 / 12.77,
    "the same, times 7.00 / 12.77, the engines' rates in benchmarks/mining.md",
)
IMAGENET_1M = ImageSet("ImageNet-1M", 1_281_167, 108_000)
IMAGENET_14M = ImageSet("ImageNet-14M", 14_197_122, 92_000)


def plan_cluster(images: ImageSet, hours: float, cost: StageCost, node_cores: int = NODE_CORES) -> ClusterPlan:
    """What labels so many images in so many hours. Raises ValueError for no images or no time."""
    if images.num_images < 1 or not hours > 0:
        raise ValueError(f"expected at least one image and some time, got {images.num_images} images in {hours} hours")
    seconds = hours * 3600
    cores = math.ceil(images.num_images / (seconds * cost.images_per_s_core))
    per_shard = max(1, min(_SHARD_IMAGES, _SHARD_BYTES // images.mean_bytes))
    return ClusterPlan(
        cores=cores,
        nodes=math.ceil(cores / node_cores),
        store_bytes_per_s=images.num_images * images.mean_bytes / seconds,
        num_shards=math.ceil(images.num_images / per_shard),
    )


def describe_plans(images: ImageSet, hours: Sequence[float], cost: StageCost) -> list[str]:
    """The table of an image set, in Markdown."""
    lines = [
        f"### {images.name}: {images.num_images:,} images of {images.mean_bytes / 1000:.0f} kB, {cost.name}",
        "",
        f"| hours | cores | nodes of {NODE_CORES} cores | store, to read and to write | shards |",
        "|---|---|---|---|---|",
    ]
    for one in hours:
        plan = plan_cluster(images, one, cost)
        rate = f"{plan.store_bytes_per_s / 10**6:,.1f} MB/s each"
        lines.append(f"| {one:g} | {plan.cores:,} | {plan.nodes:,} | {rate} | {plan.num_shards:,} |")
    return lines


def make_page() -> str:
    """`docs/scale.md`."""
    measured = [f"- {cost.name}: {cost.images_per_s_core:.2f} images/s and core ({cost.source})" for cost in _COSTS]
    known = [
        "- Ray and a second process cost 19% of the bare labeler's rate (the same page); that is in the numbers above.",
        "- Mean sizes are not measured: archives of about 138 GB and 1.3 TB over their images.",
    ]
    tables = [
        "\n".join(["", *describe_plans(images, hours, cost)])
        for images, hours in ((IMAGENET_1M, (1, 4, 24)), (IMAGENET_14M, (4, 24, 168)))
        for cost in _COSTS
    ]
    return (
        _INTRO
        + "\n".join([*measured, *known])
        + "\n"
        + _METHOD.format(cores=NODE_CORES)
        + "\n".join(tables)
        + "\n"
        + _GPU
    )


_COSTS = (LITE0_BF16, LITE0_FP32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the page, or what a given amount takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="?", type=int, help="number of images")
    parser.add_argument("hours", nargs="?", type=float, help="time to label them in")
    parser.add_argument("--kilobytes", type=float, default=110.0, help="mean size of an image")
    given = parser.parse_args(arguments)
    if given.images is None:
        sys.stdout.write(make_page())
        return 0
    if given.hours is None or given.images < 1 or not given.hours > 0 or not given.kilobytes > 0:
        parser.error("expected IMAGES and HOURS, both above 0")
    images = ImageSet("your images", given.images, round(given.kilobytes * 1000))
    for cost in _COSTS:
        sys.stdout.write("\n".join(describe_plans(images, [given.hours], cost)) + "\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
