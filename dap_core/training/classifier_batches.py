"""Batches for a classifier: encoded images are read here, decoded and cropped in worker processes, in order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dap_core.training.batches import BatchPlan
from dap_core.training.crops import ClassifierBatch, CropConfig, make_crops
from dap_core.training.decoding import decode_ahead
from dap_core.training.labelled_samples import LabelledImage, LabelledSamples
from dap_core.training.left_out import LeftOut
from dap_core.training.order import SampleOrder

_Encoded = tuple[int, list[LabelledImage]]


def read_classifier_batches(
    samples: LabelledSamples, plan: BatchPlan, config: CropConfig, left_out: LeftOut, *, num_workers: int = 1
) -> Iterator[ClassifierBatch]:
    """The batches of a plan in order; what is in them depends on samples, seed and step alone.

    Images are read in this process and decoded by `num_workers` processes (0: here), a few batches ahead. Those that
    cannot be used are noted in `left_out`. Raises TooManyFailuresError, StoreError, WorkerCrashError.
    """
    decode = partial(_decode, config, plan.seed)
    for batch in decode_ahead(_read_encoded(samples, plan), decode, num_workers=num_workers):
        left_out.add(batch.problems, len(batch.keys))
        yield batch


def _decode(config: CropConfig, seed: int, encoded: _Encoded) -> ClassifierBatch:
    step, images = encoded
    return make_crops(step, images, config, seed)


def _read_encoded(samples: LabelledSamples, plan: BatchPlan) -> Iterator[_Encoded]:
    order = SampleOrder(samples.identity, samples.groups, plan.seed)
    for step in range(plan.start, plan.stop):
        places = order.take_batch(step, plan.batch_size, rank=plan.rank, num_ranks=plan.num_ranks)
        yield step, samples.read([row for _, row in places])
