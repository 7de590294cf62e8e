"""Raw boxes to checked `Annotations`: every reader hands its boxes in here, and nothing is lost silently."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dap_core.datasets.annotations import AnnotatedImage, Annotations, Problem
from dap_core.datasets.exported_names import read_exported_names
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


@dataclass(frozen=True, slots=True)
class _Image:
    """One image with checked boxes; whether it has scores is known when all are read."""

    key: str
    original_key: str | None
    size_wh: tuple[int, int] | None
    boxes: Sequence[DrawnBox]

    def finish(self, scored: bool) -> AnnotatedImage:
        """The image; where only some boxes of a data set have a score, the rest count as certain."""
        scores = [1.0 if box.score is None else box.score for box in self.boxes]
        return AnnotatedImage(
            key=self.key,
            size_wh=self.size_wh,
            boxes=np.array([box.xyxy for box in self.boxes], np.float32).reshape(-1, 4),
            class_names=tuple(box.class_name for box in self.boxes),
            ignored=np.array([box.ignored for box in self.boxes], np.bool_),
            scores=np.array(scores, np.float32) if scored else None,
            original_key=self.original_key,
        )


class AnnotationsBuilder:
    """Collects the images of one data set and what could not be used of them."""

    def __init__(self, source: Path) -> None:
        """Takes the path that is read; a `names.csv` beside it gives the original keys of images."""
        self._source = source
        self._images: dict[str, _Image] = {}
        self._problems: list[Problem] = []
        self.names = read_exported_names(source if source.is_dir() else source.parent, self.report)

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

    def add_image(
        self,
        key: str,
        size_wh: tuple[int, int] | None,
        boxes: Sequence[DrawnBox],
        where: str,
        original_key: str | None = None,
    ) -> None:
        """Adds an image and those of its boxes that pass the checks; of a key given twice the first counts.

        Left out, `original_key` is what `names.csv` says.
        """
        if not key.strip():
            self.report(where, "no file name")
        elif key in self._images:
            self.report(where, f"{key} was given before; the first counts")
        else:
            original = original_key or self.names.get(key)
            self._images[key] = _Image(key, original, size_wh, self._check_boxes(boxes, size_wh))

    def build(self, class_names: Sequence[str] | None = None, image_root: Path | None = None) -> Annotations:
        """The annotations collected so far; left-out `class_names` are those seen, sorted.

        Raises SourceError when there were problems and not one image.
        """
        if self._problems and not self._images:
            first = self._problems[0]
            raise SourceError(f"{self._source}: no image could be read; {first.where}: {first.message}")
        drawn = [box for image in self._images.values() for box in image.boxes]
        if class_names is None:
            class_names = sorted({box.class_name for box in drawn})
        scored = any(box.score is not None for box in drawn)
        return Annotations(
            images=tuple(image.finish(scored) for image in self._images.values()),
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
        clipped, complaint = check_corners(box.xyxy, size_wh)
        if complaint:
            self.report(box.where, complaint)
        return DrawnBox(box.where, clipped, box.class_name, box.score, box.ignored)


def check_corners(xyxy: Corners, size_wh: tuple[int, int] | None) -> tuple[Corners, str]:
    """The box within the image, and what to report of it: empty where it fits but for the rounding of its file.

    Raises FieldError as `clip_corners` does.
    """
    clipped, overhang = clip_corners(xyxy, size_wh)
    if overhang <= _ROUNDING_PX:
        return clipped, ""
    size = f" of {size_wh[0]}x{size_wh[1]} pixels" if size_wh else ""
    return clipped, f"{describe(xyxy)} sticks out of the image{size} by {overhang:g}; clipped"


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
