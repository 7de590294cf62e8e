"""Drawn boxes made by hand or at random, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dap_core.datasets import AnnotatedImage, Annotations, Problem

Drawn = Mapping[str, Sequence[tuple[str, tuple[float, float, float, float]]]]


def make_annotations(
    drawn: Drawn,
    *,
    size_wh: tuple[int, int] | None = (60, 40),
    ignored: Sequence[str] = (),
    problems: Sequence[Problem] = (),
) -> Annotations:
    """Annotations of class and box per image key; classes named in `ignored` are to be ignored."""
    images = tuple(
        AnnotatedImage(
            key=key,
            size_wh=size_wh,
            boxes=np.array([box for _, box in boxes], np.float32).reshape(-1, 4),
            class_names=tuple(name for name, _ in boxes),
            ignored=np.array([name in ignored for name, _ in boxes], bool),
        )
        for key, boxes in drawn.items()
    )
    names = sorted({name for boxes in drawn.values() for name, _ in boxes})
    return Annotations(images, tuple(names), tuple(problems))
