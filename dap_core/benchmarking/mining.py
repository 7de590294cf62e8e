"""`dap bench mine`: images per second of every engine beside the paper straight and the engine's own limit.

All contestants take turns on the same images, each in a process of its own, so that what else the machine does falls
on all of them and none works with what another has left in memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

from dap_core.benchmarking.contestants import EncodedImage
from dap_core.benchmarking.processes import ContestantProcess, RoundTimes
from dap_core.classifiers import Classifier
from dap_core.engines import EngineChoice, list_engines
from dap_core.recipes import DEFAULT_RECIPE, Recipe

NAIVE_IMAGES = 4
"""Images of each round that the slow contestant mines, spread over the round."""


@dataclass(frozen=True, slots=True)
class StageShares:
    """Where a labeler's time goes.

    Of the lanes' wall time the share in which the network runs; of the process's CPU seconds those of decoding and
    resizing and of cutting boxes.
    """

    network_wall: float
    prepare_cpu: float
    cut_cpu: float


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """One engine end to end - JPEG bytes in, boxes out - and its bare forward passes on the same canvases."""

    engine: str
    precision: str
    images_per_s: float
    limit_images_per_s: float
    ratio_to_naive: float
    ratio_to_limit: float
    boxes_per_image: float
    shares: StageShares


@dataclass(frozen=True, slots=True)
class MiningSpeed:
    """One run of the benchmark; engines fastest first. Rates and ratios are medians over the rounds."""

    recipe: str
    classifier: str
    num_rounds: int
    num_images: int
    naive_images_per_s: float
    naive_share_in_passes: float
    engines: tuple[EngineSpeed, ...]


def measure_mining(
    classifier: Classifier,
    images: Sequence[EncodedImage],
    *,
    seconds: float = 120.0,
    round_images: int = 32,
    recipe: Recipe = DEFAULT_RECIPE,
    device: str | None = None,
) -> MiningSpeed:
    """Times `naive`, every available engine and its bare passes in turn on rounds of `round_images` images.

    Rounds go on until `seconds` have passed, at least two; an untimed one comes first. `images` are gone through
    again and again. Raises ValueError for fewer than four images, or in a round.
    """
    if min(len(images), round_images) < NAIVE_IMAGES:
        raise ValueError(f"at least {NAIVE_IMAGES} images are needed, got {min(len(images), round_images)}")
    choices = [choice for choice in list_engines(device) if choice.available]
    contestants = [ContestantProcess(classifier, recipe, choice) for choice in (None, *choices)]
    try:
        rounds = list(_take_turns(contestants, _make_rounds(images, round_images), seconds))
    finally:
        for contestant in contestants:
            contestant.close()
    naive, *others = (list(times) for times in zip(*rounds, strict=True))
    naive_rates = [one.num_images / one.wall_s for one in naive]
    speeds = [_summarise(choice, times, naive_rates) for choice, times in zip(choices, others, strict=True)]
    return MiningSpeed(
        recipe=recipe.name,
        classifier=classifier.name,
        num_rounds=len(rounds),
        num_images=round_images * len(rounds),
        naive_images_per_s=median(naive_rates),
        naive_share_in_passes=sum(one.passes_s for one in naive) / sum(one.wall_s for one in naive),
        engines=tuple(sorted(speeds, key=lambda speed: -speed.images_per_s)),
    )


def _take_turns(
    contestants: Sequence[ContestantProcess], rounds: Iterator[list[EncodedImage]], seconds: float
) -> Iterator[list[RoundTimes]]:
    """The times of each contestant round by round, `naive` on a part of the images; the first round does not count."""
    started: float | None = None
    done = 0
    while started is None or done < 2 or time.perf_counter() - started < seconds:
        images = next(rounds)
        few = images[:: len(images) // NAIVE_IMAGES][:NAIVE_IMAGES]
        times = [one.run(images if one.choice else few) for one in contestants]
        if started is None:
            started = time.perf_counter()
            continue
        done += 1
        yield times


def _summarise(choice: EngineChoice, rounds: Sequence[RoundTimes], naive_rates: Sequence[float]) -> EngineSpeed:
    """Medians over the rounds of rates and of ratios; shares of all rounds together."""
    rates = [one.num_images / one.wall_s for one in rounds]
    cpu = sum(one.cpu_s for one in rounds)
    return EngineSpeed(
        engine=choice.engine,
        precision=choice.precision,
        images_per_s=median(rates),
        limit_images_per_s=median(one.num_images / one.bare_s for one in rounds),
        ratio_to_naive=median(rate / naive for rate, naive in zip(rates, naive_rates, strict=True)),
        ratio_to_limit=median(one.bare_s / one.wall_s for one in rounds),
        boxes_per_image=sum(one.num_boxes for one in rounds) / sum(one.num_images for one in rounds),
        shares=StageShares(
            network_wall=sum(one.passes_s for one in rounds) / sum(one.wall_s * one.num_lanes for one in rounds),
            prepare_cpu=sum(one.prepare_s for one in rounds) / cpu,
            cut_cpu=sum(one.cut_s for one in rounds) / cpu,
        ),
    )


def _make_rounds(images: Sequence[EncodedImage], round_images: int) -> Iterator[list[EncodedImage]]:
    stream = cycle(images)
    while True:
        yield list(islice(stream, round_images))
