"""Raw boxes to checked `Annotations`: every reader hands its boxes in here, and nothing is lost silently."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dap_core.datasets.annotations import AnnotatedImage, Annotations, Problem
from dap_core.datasets.fields import FieldError
from dap_core.errors import SourceError

_ROUNDING_PX = 0.1
"""A box may stick out this far because its file rounds; it is clipped without a word."""

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """One box as a file gives it, not yet checked: corners xyxy half-open in pixels; `where` names it in reports."""

    where: str
    xyxy: Corners
    class_name: str
    score: float | None = None
    ignored: bool = False


class AnnotationsBuilder:
    """Collects the images of one data set and what could not be used of them."""

    def __init__(self, source: Path) -> None:
        """Takes the path that is read, for messages only."""
        self._source = source
        self._images: dict[str, tuple[tuple[int, int] | None, list[DrawnBox]]] = {}
        self._problems: list[Problem] = []

    def report(self, where: str, message: str) -> None:
        """Notes a problem."""
        self._problems.append(Problem(where, message))

    @contextmanager
    def reporting(self, where: str) -> Iterator[None]:
        """Turns a ValueError of the block into a problem: what the block was reading is left out."""
        try:
            yield
        except ValueError as error:
            self.report(where, str(error))

    def add_image(self, key: str, size_wh: tuple[int, int] | None, boxes: Sequence[DrawnBox], where: str) -> None:
        """Adds an image and those of its boxes that pass the checks; of a key given twice the first counts."""
        if not key.strip():
            self.report(where, "no file name")
        elif key in self._images:
            self.report(where, f"{key} was given before; the first counts")
        else:
            self._images[key] = (size_wh, self._check_boxes(boxes, size_wh))

    def build(self, class_names: Sequence[str] | None = None, image_root: Path | None = None) -> Annotations:
        """The annotations collected so far; left-out `class_names` are those seen, sorted.

        Raises SourceError when there were problems and not one image.
        """
        if self._problems and not self._images:
            first = self._problems[0]
            raise SourceError(f"{self._source}: no image could be read; {first.where}: {first.message}")
        drawn = [box for _, boxes in self._images.values() for box in boxes]
        if class_names is None:
            class_names = sorted({box.class_name for box in drawn})
        scored = any(box.score is not None for box in drawn)
        return Annotations(
            images=tuple(_make_image(key, size, boxes, scored) for key, (size, boxes) in self._images.items()),
            class_names=tuple(dict.fromkeys(class_names)),
            problems=tuple(self._problems),
            image_root=image_root,
        )

    def _check_boxes(self, boxes: Sequence[DrawnBox], size_wh: tuple[int, int] | None) -> list[DrawnBox]:
        kept = []
        for box in boxes:
            with self.reporting(box.where):
                kept.append(self._check_box(box, size_wh))
        return kept

    def _check_box(self, box: DrawnBox, size_wh: tuple[int, int] | None) -> DrawnBox:
        if not box.class_name.strip():
            raise FieldError("the class has no name")
        if box.score is not None and not math.isfinite(box.score):
            raise FieldError(f"the score is {box.score}")
        clipped, overhang = clip_corners(box.xyxy, size_wh)
        if overhang > _ROUNDING_PX:
            size = f" of {size_wh[0]}x{size_wh[1]} pixels" if size_wh else ""
            self.report(box.where, f"{describe(box.xyxy)} sticks out of the image{size} by {overhang:g}; clipped")
        return DrawnBox(box.where, clipped, box.class_name, box.score, box.ignored)


def clip_corners(xyxy: Corners, size_wh: tuple[int, int] | None) -> tuple[Corners, float]:
    """The box within the image, and how far in pixels it stuck out; of unknown size only 0 is a limit.

    Raises FieldError when a corner is not finite, the box has no area or is inverted, or it lies outside.
    """
    if not all(map(math.isfinite, xyxy)):
        raise FieldError(f"{describe(xyxy)} is not finite")
    x1, y1, x2, y2 = xyxy
    if x2 < x1 or y2 < y1:
        raise FieldError(f"{describe(xyxy)} is inverted; expected x1 < x2 and y1 < y2")
    if x2 == x1 or y2 == y1:
        raise FieldError(f"{describe(xyxy)} has no area")
    width, height = size_wh or (math.inf, math.inf)
    clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        raise FieldError(f"{describe(xyxy)} lies outside the image")
    return clipped, max(abs(before - after) for before, after in zip(xyxy, clipped, strict=True))


def describe(xyxy: Corners) -> str:
    """The box in words, for messages."""
    return f"box ({', '.join(f'{side:g}' for side in xyxy)})"


def _make_image(key: str, size_wh: tuple[int, int] | None, boxes: Sequence[DrawnBox], scored: bool) -> AnnotatedImage:
    """An image; where only some boxes of a data set have a score, the rest count as certain."""
    scores = [1.0 if box.score is None else box.score for box in boxes]
    return AnnotatedImage(
        key=key,
        size_wh=size_wh,
        boxes=np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4),
        class_names=tuple(box.class_name for box in boxes),
        ignored=np.array([box.ignored for box in boxes], np.bool_),
        scores=np.array(scores, np.float32) if scored else None,
    )
