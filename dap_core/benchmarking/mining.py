"""`dap bench mine`: images per second of every engine beside the paper straight and the engine's own limit.

All contestants take turns on the same images, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

from dap_core.benchmarking.contestants import EncodedImage, NaiveMiner, TimedLabeler, time_bare_passes
from dap_core.classifiers import Classifier
from dap_core.engines import EngineChoice, OpenvinoEngine, TorchEngine, list_engines, make_engine
from dap_core.recipes import DEFAULT_RECIPE, Recipe

NAIVE_IMAGES = 4
"""Images of each round that the slow contestant mines, spread over the round."""


@dataclass(frozen=True, slots=True)
class StageShares:
    """Where a labeler's time goes.

    Of wall time the share in which the network runs; of the process's CPU seconds those of decoding and resizing and
    of cutting boxes.
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


class _Contestant:
    """One engine with its sums over the rounds."""

    def __init__(self, classifier: Classifier, recipe: Recipe, choice: EngineChoice) -> None:
        engine = make_engine(
            classifier,
            engine=choice.engine,  # type: ignore[arg-type]
            precision=choice.precision,  # type: ignore[arg-type]
            device=choice.device,
        )
        assert isinstance(engine, TorchEngine | OpenvinoEngine)
        self.engine, self.labeler = engine, TimedLabeler(recipe=recipe, engine=engine)
        self.walls: list[float] = []
        self.limits: list[float] = []
        self.cpu = 0.0
        self.num_boxes = self.num_images = 0

    def run(self, images: Sequence[EncodedImage]) -> None:
        """Mines the images, then runs their passes bare."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.num_boxes += self.labeler.mine(images)
        self.walls.append(time.perf_counter() - wall)
        self.cpu += time.process_time() - cpu
        self.num_images += len(images)
        self.limits.append(time_bare_passes(self.engine, images, self.labeler.recipe.cam))

    def finish(self, naive_rates: Sequence[float]) -> EngineSpeed:
        """Medians over the rounds of rates and of ratios; shares of all rounds together."""
        seconds, wall = self.labeler.seconds, sum(self.walls)
        per_round = self.num_images / len(self.walls)
        rates = [per_round / one for one in self.walls]
        return EngineSpeed(
            engine=self.engine.name,
            precision=self.engine.precision,
            images_per_s=median(rates),
            limit_images_per_s=median(per_round / one for one in self.limits),
            ratio_to_naive=median(rate / naive for rate, naive in zip(rates, naive_rates, strict=True)),
            ratio_to_limit=median(limit / one for limit, one in zip(self.limits, self.walls, strict=True)),
            boxes_per_image=self.num_boxes / self.num_images,
            shares=StageShares(seconds["run"] / wall, seconds["prepare"] / self.cpu, seconds["finish"] / self.cpu),
        )


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
    naive = NaiveMiner(classifier, recipe)
    contestants = [_Contestant(classifier, recipe, choice) for choice in list_engines(device) if choice.available]
    rounds = _make_rounds(images, round_images)
    _warm_up(naive, contestants, next(rounds))
    naive_rates: list[float] = []
    started = time.perf_counter()
    while len(naive_rates) < 2 or time.perf_counter() - started < seconds:
        chosen = next(rounds)
        begun = time.perf_counter()
        naive.mine(chosen[:: len(chosen) // NAIVE_IMAGES][:NAIVE_IMAGES])
        naive_rates.append(NAIVE_IMAGES / (time.perf_counter() - begun))
        for contestant in contestants:
            contestant.run(chosen)
    speeds = sorted((one.finish(naive_rates) for one in contestants), key=lambda speed: -speed.images_per_s)
    return MiningSpeed(
        recipe=recipe.name,
        classifier=classifier.name,
        num_rounds=len(naive_rates),
        num_images=round_images * len(naive_rates),
        naive_images_per_s=median(naive_rates),
        naive_share_in_passes=naive.seconds_in_passes / sum(NAIVE_IMAGES / rate for rate in naive_rates),
        engines=tuple(speeds),
    )


def _make_rounds(images: Sequence[EncodedImage], round_images: int) -> Iterator[list[EncodedImage]]:
    stream = cycle(images)
    while True:
        yield list(islice(stream, round_images))


def _warm_up(naive: NaiveMiner, contestants: Sequence[_Contestant], images: Sequence[EncodedImage]) -> None:
    """One image for the slow, a round for the others, whose first run of a canvas size is slower; sums begin anew."""
    naive.mine(images[:1])
    naive.seconds_in_passes = 0.0
    for contestant in contestants:
        contestant.labeler.mine(images)
        contestant.labeler.seconds.update(dict.fromkeys(contestant.labeler.seconds, 0.0))
