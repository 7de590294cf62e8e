"""Batches for a classifier: encoded images are read here, decoded and cropped in worker processes, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from dap_core.training.batches import BatchPlan
from dap_core.training.crops import ClassifierBatch, CropConfig, make_crops
from dap_core.training.labelled_samples import LabelledImage, LabelledSamples
from dap_core.training.left_out import LeftOut
from dap_core.training.order import SampleOrder

_AHEAD_PER_WORKER = 4
_Encoded = tuple[int, list[LabelledImage]]


def read_classifier_batches(
    samples: LabelledSamples, plan: BatchPlan, config: CropConfig, left_out: LeftOut, *, num_workers: int = 1
) -> Iterator[ClassifierBatch]:
    """The batches of a plan in order; what is in them depends on samples, seed and step alone.

    Images are read in this process and decoded by `num_workers` processes (0: here), a few batches ahead. Those that
    cannot be used are noted in `left_out`. Raises TooManyFailuresError, StoreError.
    """
    loader = DataLoader(
        _Decoder(config, plan.seed),
        batch_size=None,
        sampler=_Once(_read_encoded(samples, plan)),  # its items reach the workers as they are
        num_workers=num_workers,
        prefetch_factor=_AHEAD_PER_WORKER if num_workers else None,
        multiprocessing_context="spawn" if num_workers else None,
        worker_init_fn=_start_worker if num_workers else None,
    )
    for batch in loader:
        left_out.add(batch.problems, len(batch.keys))
        yield batch


class _Decoder(Dataset[ClassifierBatch]):
    """What the workers run; its keys are the encoded batches."""

    def __init__(self, config: CropConfig, seed: int) -> None:
        self._config, self._seed = config, seed

    def __getitem__(self, encoded: _Encoded) -> ClassifierBatch:
        step, images = encoded
        return make_crops(step, images, self._config, self._seed)


class _Once(Iterable[_Encoded]):
    """An iterable over an iterator, for a loader that asks once."""

    def __init__(self, items: Iterator[_Encoded]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[_Encoded]:
        return self._items


def _read_encoded(samples: LabelledSamples, plan: BatchPlan) -> Iterator[_Encoded]:
    order = SampleOrder(samples.identity, samples.groups, plan.seed)
    for step in range(plan.start, plan.stop):
        places = order.take_batch(step, plan.batch_size, rank=plan.rank, num_ranks=plan.num_ranks)
        yield step, samples.read([row for _, row in places])


def _start_worker(_number: int) -> None:
    """One thread in each worker: the cores are shared by processes."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
