"""How long the stages of a shard took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShardTimings:
    """When a shard was begun (seconds since 1970), and how long its stages took, in seconds."""

    started: float
    fetch_s: float
    """Reading the images, summed over reads that went on side by side."""
    label_s: float
    """From the first read to the last row; reads are hidden in it."""
    commit_s: float
    """Encoding what is left and putting the objects."""

    @property
    def ended(self) -> float:
        """When the shard was committed, in seconds since 1970."""
        return self.started + self.label_s + self.commit_s


def measure_span(timings: Iterable[ShardTimings]) -> tuple[float, float] | None:
    """When the first of these shards was begun and the last one ended; None without any."""
    listed = list(timings)
    if not listed:
        return None
    return min(one.started for one in listed), max(one.ended for one in listed)
