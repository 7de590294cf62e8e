"""A detector as a classifier (paper, section 4.3): the score of a class is the sum of its boxes' scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dap_core.evaluation.detection_truth import Found


@dataclass(frozen=True, slots=True)
class Recognition:
    """Shares in [0, 1] of images whose class is the one, or among the five, with the highest scores.

    A class without any box is never among them, so an image in which nothing is found is wrong.
    """

    top1: float
    top5: float
    num_images: int


def measure_recognition(found: Found, labels: Mapping[str, int], num_classes: int) -> Recognition:
    """How well the sums of scores name the class of each image, by its key. Of equal sums the lower index wins.

    Raises ValueError without images.
    """
    if not labels:
        raise ValueError("there is no image with a class, so recognition cannot be measured")
    ranks = [_rank(found, key, label, num_classes) for key, label in labels.items()]
    return Recognition(
        top1=sum(rank < 1 for rank in ranks) / len(ranks),
        top5=sum(rank < 5 for rank in ranks) / len(ranks),
        num_images=len(ranks),
    )


def _rank(found: Found, key: str, label: int, num_classes: int) -> int:
    """How many classes come before `label`; too many when it has no box."""
    sums = found[key].sum_scores(num_classes) if key in found else np.zeros(num_classes)
    if not sums[label] > 0:
        return max(num_classes, 5)
    return int((sums > sums[label]).sum() + (sums[:label] == sums[label]).sum())
