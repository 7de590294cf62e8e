"""Each contestant in a process of its own, so that none works with another's memory pools, caches or threads."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from dap_core.benchmarking.contestants import EncodedImage, NaiveMiner, TimedLabeler, time_bare_passes
from dap_core.classifiers import Classifier
from dap_core.engines import EngineChoice, OpenvinoEngine, TorchEngine, make_engine
from dap_core.recipes import Recipe


@dataclass(frozen=True, slots=True)
class RoundTimes:
    """What one contestant needed for one round, in seconds.

    `wall_s` and `cpu_s` of the process end to end, `bare_s` of the forward passes alone. Summed over lanes: `passes_s`
    wall time of the network, `prepare_s` CPU time of decoding and resizing, `cut_s` CPU time of cutting boxes.
    """

    num_images: int
    num_boxes: int
    num_lanes: int
    wall_s: float
    cpu_s: float
    bare_s: float
    passes_s: float
    prepare_s: float
    cut_s: float


class _Contestant(Protocol):
    def run(self, images: Sequence[EncodedImage]) -> RoundTimes: ...


class ContestantProcess:
    """A process that mines the rounds it is given; `choice` None stands for the paper straight."""

    def __init__(self, classifier: Classifier, recipe: Recipe, choice: EngineChoice | None) -> None:
        """Starts the process, which loads its engine; an error of that comes with the first round."""
        self.choice = choice
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn, initializer=_load, initargs=(classifier, recipe, choice))

    def run(self, images: Sequence[EncodedImage]) -> RoundTimes:
        """Mines the images while the others wait."""
        return self._pool.submit(_run, list(images)).result()

    def close(self) -> None:
        """Ends the process."""
        self._pool.shutdown(cancel_futures=True)


class _NaiveContestant:
    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        self._miner = NaiveMiner(classifier, recipe)

    def run(self, images: Sequence[EncodedImage]) -> RoundTimes:
        self._miner.seconds_in_passes = 0.0
        wall, cpu = time.perf_counter(), time.process_time()
        num_boxes = self._miner.mine(images)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        passes = self._miner.seconds_in_passes
        return RoundTimes(len(images), num_boxes, 1, wall, cpu, passes, passes, 0.0, 0.0)


class _EngineContestant:
    def __init__(self, classifier: Classifier, recipe: Recipe, choice: EngineChoice) -> None:
        engine = make_engine(
            classifier,
            engine=choice.engine,  # type: ignore[arg-type]
            precision=choice.precision,  # type: ignore[arg-type]
            device=choice.device,
        )
        assert isinstance(engine, TorchEngine | OpenvinoEngine)
        self._engine, self._labeler = engine, TimedLabeler(recipe=recipe, engine=engine)

    def run(self, images: Sequence[EncodedImage]) -> RoundTimes:
        seconds = self._labeler.seconds
        seconds.update(dict.fromkeys(seconds, 0.0))
        wall, cpu = time.perf_counter(), time.process_time()
        num_boxes = self._labeler.mine(images)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        bare = time_bare_passes(self._engine, images, self._labeler.recipe.cam)
        steps = (seconds["run"], seconds["prepare"], seconds["finish"])
        return RoundTimes(len(images), num_boxes, self._labeler.num_lanes, wall, cpu, bare, *steps)


_contestant: _Contestant | None = None


def _load(classifier: Classifier, recipe: Recipe, choice: EngineChoice | None) -> None:
    global _contestant
    _contestant = _EngineContestant(classifier, recipe, choice) if choice else _NaiveContestant(classifier, recipe)


def _run(images: Sequence[EncodedImage]) -> RoundTimes:
    assert _contestant is not None
    return _contestant.run(images)
