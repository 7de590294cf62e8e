"""The labeler alone, in a process of its own: what serving and bulk labelling are measured beside."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from multiprocessing import get_context

from dap_core.datasets import Source
from dap_core.labeler import PseudoLabeler

EncodedImage = tuple[bytes, str]
"""An encoded image and its label."""
_READERS = 16


def read_images(source: Source, limit: int) -> list[EncodedImage]:
    """The first images of a source with their first label."""
    rows = list(islice(source.rows, limit))
    with ThreadPoolExecutor(_READERS) as readers:
        data = readers.map(lambda row: source.store.get(row.key), rows)
        return [(read, row.labels[0]) for read, row in zip(data, rows, strict=True)]


class BareLabeler:
    """Labels rounds of images from memory in a process that ends with the context."""

    def __enter__(self) -> BareLabeler:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_load)
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown()

    def measure_rate(self, images: Sequence[EncodedImage]) -> float:
        """Images per second of one round."""
        return len(images) / self._pool.submit(_label, list(images)).result()


_labeler: PseudoLabeler | None = None


def _load() -> None:
    global _labeler
    _labeler = PseudoLabeler()


def _label(images: list[EncodedImage]) -> float:
    assert _labeler is not None
    started = time.perf_counter()
    for _ in _labeler.label_stream(images):
        pass
    return time.perf_counter() - started
