"""Batches for training: encoded images are read here, decoded and augmented in worker processes, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dap_core.training.augment import AugmentConfig, TrainingBatch, make_batch
from dap_core.training.decoding import decode_ahead
from dap_core.training.order import SampleOrder
from dap_core.training.samples import Sample, SampleSource
from dap_core.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Which batches a worker trains on, for how long: steps [start, stop) of global batches of `batch_size` images."""

    batch_size: int
    stop: int
    seed: int
    start: int = 0
    rank: int = 0
    num_ranks: int = 1


_Encoded = tuple[int, list[Sample]]


@dataclass(frozen=True, slots=True)
class _Packed:
    """A batch with its images in one tensor: every tensor costs a file in shared memory to be sent."""

    step: int
    keys: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    pixels: Tensor
    boxes: tuple[FloatArray, ...]
    labels: tuple[NDArray[np.int64], ...]

    @classmethod
    def pack(cls, batch: TrainingBatch) -> _Packed:
        return cls(
            batch.step,
            batch.keys,
            tuple(image.shape for image in batch.images),
            torch.cat([image.reshape(-1) for image in batch.images]),
            tuple(boxes.numpy() for boxes in batch.boxes),
            tuple(labels.numpy() for labels in batch.labels),
        )

    def unpack(self) -> TrainingBatch:
        images = torch.split(self.pixels, [shape.numel() for shape in self.shapes])
        return TrainingBatch(
            self.step,
            self.keys,
            tuple(image.view(shape) for image, shape in zip(images, self.shapes, strict=True)),
            tuple(map(torch.from_numpy, self.boxes)),
            tuple(map(torch.from_numpy, self.labels)),
        )


def read_batches(
    source: SampleSource, plan: BatchPlan, config: AugmentConfig, *, num_workers: int = 2
) -> Iterator[TrainingBatch]:
    """The batches of a plan in order; what is in them depends on source, seed and step alone.

    Images are read in this process, a group at a time, and decoded by `num_workers` processes (0: here), a few batches
    ahead. Raises ImageError, StoreError, LabelSetError, WorkerCrashError.
    """
    decode = partial(_decode, config, plan.seed)
    for packed in decode_ahead(_read_encoded(source, plan), decode, num_workers=num_workers):
        yield packed.unpack()


def _decode(config: AugmentConfig, seed: int, encoded: _Encoded) -> _Packed:
    step, samples = encoded
    return _Packed.pack(make_batch(step, samples, config, seed))


def _read_encoded(source: SampleSource, plan: BatchPlan) -> Iterator[_Encoded]:
    order = SampleOrder(source.identity, source.groups, plan.seed)
    for step in range(plan.start, plan.stop):
        places = order.take_batch(step, plan.batch_size, rank=plan.rank, num_ranks=plan.num_ranks)
        yield step, _read_places(source, places)


def _read_places(source: SampleSource, places: list[tuple[int, int]]) -> list[Sample]:
    """The samples at these places, in order; neighbours of one group are read together."""
    groups = groupby(places, key=itemgetter(0))
    return [sample for group, rows in groups for sample in source.read(group, [row for _, row in rows])]
