"""`dap bench train`: a training step beside a plain loop that is fed from memory, and reading beside bare decoding.

The contestants take turns in one run, on the same batches, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

import cv2
import numpy as np
import psutil
import torch

from dap_core.detectors import Detector
from dap_core.images.resizing import resize_to_short_side
from dap_core.training.augment import AugmentConfig, TrainingBatch, make_batch
from dap_core.training.batches import BatchPlan, read_batches
from dap_core.training.detector_runs import compute_detector_losses
from dap_core.training.loop import StepReport, Trainer, make_trainer
from dap_core.training.optimizers import make_optimizer
from dap_core.training.order import SampleOrder
from dap_core.training.samples import SampleSource
from dap_core.training.train_recipe import DetectorRecipe

_WARM_STEPS = 6
"""Steps of a round before it counts: as many as are decoded ahead, and the first ones on new canvases."""
_SEED = 0


@dataclass(frozen=True, slots=True)
class StepSpeed:
    """Seconds of a step, waiting included, of the plain loop and of ours: medians over the rounds."""

    num_rounds: int
    num_steps: int
    """Of a round."""
    plain_s: float
    ours_s: float
    ratio: float
    """Ours over plain, the median of the rounds."""
    ratios: tuple[float, ...]
    waiting: float
    """Share of our time spent waiting for a batch."""
    precision: str


@dataclass(frozen=True, slots=True)
class ReadingSpeed:
    """Images per second of bare decoding and resizing in `num_workers` processes, and of our batches."""

    num_rounds: int
    num_images: int
    """Of a round."""
    num_workers: int
    bare_images_per_s: float
    images_per_s: float
    ratio: float
    ratios: tuple[float, ...]
    first_mib: float
    """Resident memory of all processes after the first round."""
    last_mib: float


def measure_steps(
    make_detector: Callable[[], Detector],
    source: SampleSource,
    recipe: DetectorRecipe,
    *,
    device: str = "cpu",
    num_decoders: int = 1,
    num_rounds: int = 3,
    num_steps: int = 20,
) -> StepSpeed:
    """Trains two equal detectors in turn, `num_steps` timed steps a round: plainly from memory, and as we do."""
    length = _WARM_STEPS + num_steps
    recipe = replace(recipe, num_steps=length * num_rounds)
    ours = _make_trainer(make_detector(), recipe, device)
    plain = _make_trainer(make_detector(), recipe, device)
    plan = BatchPlan(batch_size=recipe.batch_size, stop=recipe.num_steps, seed=_SEED)
    reports = ours.run(read_batches(source, plan, recipe.augment, num_workers=num_decoders), compute_detector_losses)
    rounds: list[tuple[float, list[StepReport]]] = []
    for start in range(0, recipe.num_steps, length):
        timed = list(islice(reports, length))[_WARM_STEPS:]
        rounds.append((_run_plainly(plain, _make_batches(source, recipe, start, start + length)), timed))
    ours_s = [sum(one.wait_s + one.step_s for one in timed) / num_steps for _, timed in rounds]
    ratios = tuple(mine / plain_s for mine, (plain_s, _) in zip(ours_s, rounds, strict=True))
    return StepSpeed(
        num_rounds=num_rounds,
        num_steps=num_steps,
        plain_s=median(plain_s for plain_s, _ in rounds),
        ours_s=median(ours_s),
        ratio=median(ratios),
        ratios=ratios,
        waiting=sum(one.wait_s for _, timed in rounds for one in timed) / (sum(ours_s) * num_steps),
        precision=str(ours.dtype).removeprefix("torch."),
    )


def measure_reading(
    source: SampleSource,
    augment: AugmentConfig,
    *,
    batch_size: int = 8,
    num_workers: int = 2,
    num_rounds: int = 3,
    num_images: int = 320,
) -> ReadingSpeed:
    """Decodes and resizes the same images in turn: encoded ones in memory bare, and as batches from their store."""
    num_batches = max(1, num_images // batch_size)
    plan = BatchPlan(batch_size=batch_size, stop=(num_batches + 2 * num_workers) * num_rounds, seed=_SEED)
    batches = read_batches(source, plan, augment, num_workers=num_workers)
    order = SampleOrder(source.identity, source.groups, _SEED)
    encoded = [
        (source.read(group, [row])[0].data, augment.draw_short_side(_SEED, position // batch_size))
        for position, (group, row) in enumerate(order.take(0, num_batches * batch_size))
    ]
    bare, ours, memory = [], [], []
    with _BareDecoders(encoded, num_workers) as decoders:
        for _ in range(num_rounds):
            for _ in islice(batches, 2 * num_workers):
                pass
            ours.append(len(encoded) / _time(lambda: [batch.step for batch in islice(batches, num_batches)]))
            memory.append(_measure_memory_mib())
            bare.append(len(encoded) / _time(decoders.run))
    ratios = tuple(mine / other for mine, other in zip(ours, bare, strict=True))
    return ReadingSpeed(
        num_rounds=num_rounds,
        num_images=len(encoded),
        num_workers=num_workers,
        bare_images_per_s=median(bare),
        images_per_s=median(ours),
        ratio=median(ratios),
        ratios=ratios,
        first_mib=memory[0],
        last_mib=memory[-1],
    )


def _make_trainer(detector: Detector, recipe: DetectorRecipe, device: str) -> Trainer:
    model = detector.to(device).train()
    return make_trainer(model, recipe, make_optimizer(model, recipe), device=device, seed=_SEED)


def _make_batches(source: SampleSource, recipe: DetectorRecipe, start: int, stop: int) -> Iterator[TrainingBatch]:
    order = SampleOrder(source.identity, source.groups, _SEED)
    for step in range(start, stop):
        places = order.take_batch(step, recipe.batch_size)
        samples = [source.read(group, [row])[0] for group, row in places]
        yield make_batch(step, samples, recipe.augment, _SEED)


def _run_plainly(trainer: Trainer, batches: Iterator[TrainingBatch]) -> float:
    """Seconds of a step of the loop that anyone would write around torchvision's model, the batches in memory."""
    detector = trainer.model
    assert isinstance(detector, Detector)
    first = 1 if detector.architecture == "faster_rcnn" else 0
    device = trainer.device
    held = []
    for batch in batches:
        labels = [torch.zeros_like(one) if detector.config.class_agnostic else one for one in batch.labels]
        targets = [
            {"boxes": boxes.to(device), "labels": label.to(device) + first}
            for boxes, label in zip(batch.boxes, labels, strict=True)
        ]
        held.append(([image.to(device).float() / 255 for image in batch.images], targets))
    began = 0.0
    for number, (images, targets) in enumerate(held):
        if number == _WARM_STEPS:
            began = time.perf_counter()
        trainer.optimizer.zero_grad()
        with torch.autocast(device.type, trainer.dtype, trainer.dtype is not torch.float32):
            loss = sum(detector.network(images, targets).values())
        trainer.scaler.scale(loss).backward()
        trainer.scaler.unscale_(trainer.optimizer)
        if trainer.recipe.max_gradient_norm:
            torch.nn.utils.clip_grad_norm_(detector.parameters(), trainer.recipe.max_gradient_norm)
        trainer.scaler.step(trainer.optimizer)
        trainer.scaler.update()
        loss.item()
    return (time.perf_counter() - began) / (len(held) - _WARM_STEPS)


class _BareDecoders:
    """Processes that each decode and resize their part of the images, when told to."""

    def __init__(self, encoded: Sequence[tuple[bytes, int]], num_workers: int) -> None:
        context = get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(num_workers):
            ours, theirs = context.Pipe()
            part = encoded[number::num_workers]
            process = context.Process(target=_decode_when_told, args=(theirs, part), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> _BareDecoders:
        for pipe in self._pipes:
            pipe.recv()
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def run(self) -> None:
        """All images once."""
        for pipe in self._pipes:
            pipe.send("decode")
        for pipe in self._pipes:
            pipe.recv()


def _decode_when_told(pipe: Connection, encoded: Sequence[tuple[bytes, int]]) -> None:
    cv2.setNumThreads(0)
    pipe.send("ready")
    while True:
        pipe.recv()
        for data, short_side in encoded:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
            assert pixels is not None
            resize_to_short_side(np.asarray(pixels, np.uint8), short_side)
        pipe.send("done")


def _time(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _measure_memory_mib() -> float:
    """Resident memory of this process and of those it started."""
    me = psutil.Process()
    return float(sum(one.memory_info().rss for one in (me, *me.children(recursive=True))) / 2**20)
