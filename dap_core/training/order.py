"""Which samples make up which batch: a pure function of seed, step and what is trained on.

So a resumed run repeats and skips nothing, whatever the number of workers, and two arms of a study see the same images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int]
"""A group of samples that are stored together, and the number of the sample in it."""


@dataclass(frozen=True)
class SampleOrder:
    """The endless order of the samples of one source: every epoch all of them once, in an order of its own.

    `groups` are the numbers of samples that are stored together (shards): an epoch goes through them one by one in
    random order, and through each in random order, so that a reader holds one at a time. Shards are random samples of
    the whole (DESIGN.md), so that is nearly as good as one large draw.
    """

    identity: str
    """What is trained on, such as the sha256 of a manifest."""
    groups: tuple[int, ...]
    seed: int

    def __post_init__(self) -> None:
        if not self.num_samples:
            raise ValueError("an order needs at least one sample")

    @property
    def num_samples(self) -> int:
        """Samples of an epoch."""
        return sum(self.groups)

    def take(self, start: int, stop: int) -> Iterator[Place]:
        """The samples at the positions [start, stop) of the endless order."""
        for position in range(start, stop):
            epoch, offset = divmod(position, self.num_samples)
            group, row = _order_epoch(self, epoch)[offset]
            yield int(group), int(row)

    def take_batch(self, step: int, batch_size: int, *, rank: int = 0, num_ranks: int = 1) -> list[Place]:
        """The part of global batch `step` that worker `rank` of `num_ranks` trains on.

        Raises ValueError when the batch cannot be shared evenly.
        """
        if batch_size % num_ranks:
            raise ValueError(f"a batch of {batch_size} cannot be shared evenly by {num_ranks} workers")
        size = batch_size // num_ranks
        start = step * batch_size + rank * size
        return list(self.take(start, start + size))


def make_generator(*parts: object) -> np.random.Generator:
    """A generator of random numbers that is a pure function of these values."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


@lru_cache(maxsize=2)
def _order_epoch(order: SampleOrder, epoch: int) -> NDArray[np.int64]:
    """Group and row of all samples of an epoch, int64 [N, 2]."""
    numbers = make_generator(order.identity, order.seed, epoch)
    parts: Sequence[NDArray[np.int64]] = [
        np.stack([np.full(order.groups[group], group), numbers.permutation(order.groups[group])], axis=1)
        for group in numbers.permutation(len(order.groups))
    ]
    return np.concatenate(parts)
