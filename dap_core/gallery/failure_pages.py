"""A page about a detector: its figures, and the boxes it got wrong or missed, with their images."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dap_core.boxes import compute_iou
from dap_core.errors import ImageError, StoreError
from dap_core.evaluation.detection_failures import NEAR_IOU, Failure
from dap_core.evaluation.detection_report import DetectionReport
from dap_core.evaluation.detection_truth import DetectionTruth, Found
from dap_core.gallery.cards import Picture
from dap_core.gallery.frame import LegendEntry, fill_template, list_failures
from dap_core.gallery.pictures import compute_picture_bytes, encode_picture, shrink_image
from dap_core.images import decode_image
from dap_core.label_sets import Failure as FailedKey
from dap_core.types import ClassList, FloatArray

_MOST_OF_IMAGE = 2
"""Failures of each section that one image is shown for, so that a few bad images do not fill the page."""
_MOST_OTHERS = 5
_DRAWN, _WRONG, _MISSED, _OTHER = range(4)
_LEGEND = (
    LegendEntry("drawn", "#009e73"),
    LegendEntry("wrong", "#d55e00"),
    LegendEntry("missed", "#cc79a7"),
    LegendEntry("detections near a missed box", "#56b4e9"),
)


@dataclass(frozen=True, slots=True)
class MarkedBox:
    """A box in pixels of the image, its place in the legend, and what is said about it."""

    x: str
    y: str
    width: str
    height: str
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class FailureCard:
    """One wrong or missed box with its image."""

    key: str
    size_wh: tuple[int, int]
    photo: Picture
    name: str
    score: str
    explanation: str
    boxes: tuple[MarkedBox, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    empty: str
    cards: tuple[FailureCard, ...]
    num_all: int


@dataclass(frozen=True, kw_only=True)
class FailurePage:
    """What a page is made of."""

    name: str
    facts: Sequence[tuple[str, str]]
    report: DetectionReport
    curves: bytes
    """PNG."""
    failures: Sequence[Failure]
    """As `find_failures` gives them."""
    found: Found
    truth: DetectionTruth
    failed_images: Iterable[FailedKey]
    read_image: Callable[[str], bytes]
    """Encoded bytes by key; may raise StoreError or ImageError."""
    num_shown: int = 60
    """Of each kind, wrong and missed."""

    def render(self) -> str:
        """One HTML file that opens without a server or a network; pictures get smaller when there are many."""
        wrong = [failure for failure in self.failures if failure.kind != "missed"]
        missed = [failure for failure in self.failures if failure.kind == "missed"]
        shown = [_spread(some, self.num_shown) for some in (wrong, missed)]
        picture_bytes = compute_picture_bytes(len({one.key for some in shown for one in some}))
        photos = {one.key: self._read_photo(one.key, picture_bytes) for some in shown for one in some}
        sections = [
            _Section(
                "Wrong boxes, highest scores first", "No box is wrong.", self._make_cards(shown[0], photos), len(wrong)
            ),
            _Section(
                "Missed boxes, largest first", "No box is missed.", self._make_cards(shown[1], photos), len(missed)
            ),
        ]
        return fill_template(
            "failures.html",
            name=self.name,
            subtitle="What the detector got right and wrong, at IoU 0.5",
            facts=self.facts,
            num_incomplete=0,
            failures=list_failures(self.failed_images),
            legend_title="Boxes",
            legend=_LEGEND,
            curves="data:image/png;base64," + base64.b64encode(self.curves).decode(),
            classes=[_show_class(one) for one in self.report.list_classes() if one["boxes"] or one["detections"]],
            photos={key: f"p{place}" for place, key in enumerate(photos)},
            pictures=photos,
            sections=sections,
        )

    def _read_photo(self, key: str, picture_bytes: int) -> Picture:
        try:
            return Picture(encode_picture(shrink_image(decode_image(self.read_image(key)).pixels), picture_bytes))
        except (StoreError, ImageError, ValueError) as error:
            return Picture(None, f"the image is not there: {error}")

    def _make_cards(self, failures: Sequence[Failure], photos: Mapping[str, Picture]) -> tuple[FailureCard, ...]:
        classes = self.truth.classes
        return tuple(
            FailureCard(
                key=failure.key,
                size_wh=self._find_size(failure),
                photo=photos[failure.key],
                name=classes[failure.label].name,
                score="" if failure.kind == "missed" else f"{failure.score:.2f}",
                explanation=_explain(failure, classes),
                boxes=tuple(self._mark_boxes(failure)),
            )
            for failure in failures
        )

    def _find_size(self, failure: Failure) -> tuple[int, int]:
        if failure.key in self.found:
            return self.found[failure.key].size_wh
        width, height = np.ceil(self.truth.images[failure.key].boxes[:, 2:].max(axis=0)).astype(int).tolist()
        return width, height

    def _mark_boxes(self, failure: Failure) -> Iterable[MarkedBox]:
        """What was drawn and found near the failure, and the failure on top."""
        classes, drawn = self.truth.classes, self.truth.images[failure.key]
        for place in _find_near(failure.box, drawn.boxes):
            if not np.array_equal(drawn.boxes[place], failure.box):
                difficult = ", difficult" if drawn.ignored[place] else ""
                yield _mark(drawn.boxes[place], _DRAWN, f"{classes[int(drawn.labels[place])].name}, drawn{difficult}")
        one = self.found.get(failure.key)
        if failure.kind == "missed" and one is not None:
            for place in _find_near(failure.box, one.boxes)[:_MOST_OTHERS]:
                name = classes[int(one.labels[place])].name
                yield _mark(one.boxes[place], _OTHER, f"{name}, score {one.scores[place]:.2f}")
        level = _MISSED if failure.kind == "missed" else _WRONG
        score = "missed" if failure.kind == "missed" else f"score {failure.score:.2f}"
        yield _mark(failure.box, level, f"{classes[failure.label].name}, {score}")


def _find_near(box: FloatArray, boxes: FloatArray) -> list[int]:
    """The places of the boxes that overlap one, in their order."""
    near: list[int] = np.flatnonzero(compute_iou(box[None], boxes)[0] >= NEAR_IOU).tolist()
    return near


def _spread(failures: Sequence[Failure], most: int) -> list[Failure]:
    """The first ones, at most `_MOST_OF_IMAGE` of each image."""
    shown: list[Failure] = []
    times: dict[str, int] = defaultdict(int)
    for failure in failures:
        if len(shown) == most:
            break
        if times[failure.key] < _MOST_OF_IMAGE:
            times[failure.key] += 1
            shown.append(failure)
    return shown


def _explain(failure: Failure, classes: ClassList) -> str:
    near = "" if failure.nearest is None else classes[failure.nearest].name
    if failure.kind == "missed":
        return f"nearest detection: {near}, IoU {failure.iou:.2f}" if near else "nothing was found there"
    return {
        "twice": f"a better box found this {near} already",
        "wrong-class": f"drawn there: {near}, IoU {failure.iou:.2f}",
        "wrong-place": f"badly placed: IoU {failure.iou:.2f} with the drawn {near}",
        "background": "nothing is drawn there"
        if not near
        else f"hardly on anything: IoU {failure.iou:.2f} with {near}",
    }[failure.kind]


def _mark(box: FloatArray, level: int, title: str) -> MarkedBox:
    left, top, right, bottom = box.tolist()
    return MarkedBox(f"{left:.2f}", f"{top:.2f}", f"{right - left:.2f}", f"{bottom - top:.2f}", level, title)


def _show_class(values: dict[str, Any]) -> list[str]:
    """A row of the table of classes."""
    shares = (values[name] for name in ("ap", "ap50", "voc_ap50_area", "voc_ap50_11_points"))
    counts = (f"{values[name]:,}" for name in ("boxes", "ignored_boxes", "detections"))
    return [values["name"], *counts, *("-" if np.isnan(share) else f"{share:.3f}" for share in shares)]
