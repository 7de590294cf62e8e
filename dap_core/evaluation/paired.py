"""Two arms measured on the same seeds: the mean difference and its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The mean of first minus second over pairs, and the interval in which it lies with a stated confidence."""

    mean: float
    low: float | None
    """None with fewer than two pairs."""
    high: float | None
    num_pairs: int
    confidence: float

    @property
    def is_positive(self) -> bool:
        """Whether the interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def is_negative(self) -> bool:
        """Whether the interval lies below zero."""
        return self.high is not None and self.high < 0


def compare_pairs(pairs: Sequence[tuple[float, float]], *, confidence: float = 0.95) -> PairedDifference:
    """The mean difference of pairs, first minus second, with Student's interval for it.

    One pair has no interval; pairs that all differ by the same have one of no width. Raises ValueError without a pair.

    >>> compare_pairs([(0.5, 0.4), (0.6, 0.4), (0.7, 0.4)]).low > -0.05
    True
    """
    from scipy.stats import t as student  # here: it takes a second to import

    if not pairs:
        raise ValueError("expected at least one pair")
    differences = [first - second for first, second in pairs]
    mean = math.fsum(differences) / len(differences)
    if len(differences) < 2:
        return PairedDifference(mean, None, None, 1, confidence)
    variance = math.fsum((one - mean) ** 2 for one in differences) / (len(differences) - 1)
    reach = float(student.ppf(0.5 + confidence / 2, len(differences) - 1)) * math.sqrt(variance / len(differences))
    return PairedDifference(mean, mean - reach, mean + reach, len(differences), confidence)
