"""Images of a study with what each arm found in them, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dap_core.boxes import compute_iou
from dap_core.errors import ImageError
from dap_core.evaluation.voc_precision import VOC_IOU
from dap_core.gallery.cards import DrawnBox, Picture
from dap_core.gallery.frame import LegendEntry
from dap_core.gallery.pictures import encode_picture, shrink_image
from dap_core.images import decode_image
from dap_core.types import FloatArray

_MOST_LISTED = 8
_DRAWN, _RIGHT, _WRONG = range(3)
LEGEND = (
    LegendEntry("drawn", "#009e73"),
    LegendEntry("found, right", "#0072b2"),
    LegendEntry("found, wrong", "#d55e00"),
)


@dataclass(frozen=True, slots=True)
class ExampleBox:
    """A box in pixels of the upright image, (x1, y1, x2, y2), the name of its class, and the score of a detection."""

    xyxy: tuple[float, float, float, float]
    name: str
    score: float | None = None
    """None of a drawn box."""
    ignored: bool = False
    """Of a drawn box: difficult or a crowd, neither to be found nor counted against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An image, what is drawn on it, and by arm what was found in it: only what is to be shown."""

    key: str
    image: bytes
    """Encoded."""
    truth: Sequence[ExampleBox]
    found: Mapping[str, Sequence[ExampleBox]]
    note: str = ""
    """What else is said of it, such as its setting and seed."""


@dataclass(frozen=True, slots=True)
class FoundLine:
    """A detection in words: its number on the picture, class, score, and whether it is right."""

    mark: str
    name: str
    score: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class ArmView:
    """What one arm found in the image of a card."""

    arm: str
    boxes: tuple[DrawnBox, ...]
    lines: tuple[FoundLine, ...]
    num_more: int
    summary: str


@dataclass(frozen=True, slots=True)
class ExampleCard:
    """One example as the page shows it."""

    key: str
    note: str
    size_wh: tuple[int, int]
    photo: Picture
    views: tuple[ArmView, ...]


def make_example_card(example: Example, arms: Sequence[str], picture_bytes: int) -> ExampleCard:
    """The card of an example; an arm of which it says nothing has no picture.

    A detection is right as in VOC: IoU 0.5 with the drawn box of its class that it overlaps most, which no better one
    found; on an ignored one it is neither right nor wrong and left out.
    """
    photo, size_wh = _read_photo(example, picture_bytes)
    views = tuple(_make_view(arm, example.truth, example.found[arm]) for arm in arms if arm in example.found)
    return ExampleCard(example.key, example.note, size_wh, photo, views)


def _read_photo(example: Example, picture_bytes: int) -> tuple[Picture, tuple[int, int]]:
    try:
        pixels = decode_image(example.image).pixels
    except (ImageError, ValueError) as error:
        return Picture(None, f"the image cannot be shown: {error}"), (1, 1)
    return Picture(encode_picture(shrink_image(pixels), picture_bytes)), (pixels.shape[1], pixels.shape[0])


def _make_view(arm: str, truth: Sequence[ExampleBox], found: Sequence[ExampleBox]) -> ArmView:
    ranked = sorted(found, key=lambda box: -(box.score or 0.0))
    judged = [(box, good) for box, good in zip(ranked, judge_boxes(truth, ranked), strict=True) if good is not None]
    marked = [(str(place), box, good) for place, (box, good) in enumerate(judged, start=1)]
    boxes = [_draw(box, _DRAWN, "", f"{box.name}, drawn{', ignored' if box.ignored else ''}") for box in truth]
    boxes += [
        _draw(box, _RIGHT if good else _WRONG, mark, f"{box.name}, score {box.score or 0:.2f}, {_judge(good)}")
        for mark, box, good in reversed(marked)
    ]
    lines = tuple(FoundLine(mark, box.name, f"{box.score or 0:.2f}", good) for mark, box, good in marked)
    num_right, num_truth = sum(good for _, good in judged), sum(not box.ignored for box in truth)
    summary = f"{num_right} of {num_truth} drawn {'box' if num_truth == 1 else 'boxes'} found, "
    summary += f"{len(judged) - num_right} wrong"
    return ArmView(arm, tuple(boxes), lines[:_MOST_LISTED], max(0, len(lines) - _MOST_LISTED), summary)


def judge_boxes(truth: Sequence[ExampleBox], ranked: Sequence[ExampleBox]) -> list[bool | None]:
    """Whether each detection, best first, is right; None where it is on an ignored box."""
    overlaps = compute_iou(_stack(ranked), _stack(truth))
    taken: set[int] = set()
    judged: list[bool | None] = []
    for place, box in enumerate(ranked):
        own = [index for index, drawn in enumerate(truth) if drawn.name == box.name]
        nearest = max(own, key=overlaps[place].item, default=None)
        if nearest is None or overlaps[place, nearest] < VOC_IOU:
            judged.append(False)
        elif truth[nearest].ignored:
            judged.append(None)
        else:
            judged.append(nearest not in taken)
            taken.add(nearest)
    return judged


def _stack(boxes: Sequence[ExampleBox]) -> FloatArray:
    return np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4)


def _draw(box: ExampleBox, level: int, mark: str, title: str) -> DrawnBox:
    left, top, right, bottom = box.xyxy
    return DrawnBox(
        x=f"{left:.2f}",
        y=f"{top:.2f}",
        width=f"{right - left:.2f}",
        height=f"{bottom - top:.2f}",
        level=level,
        threshold="",
        score="" if box.score is None else f"{box.score:.2f}",
        label=box.name,
        mark=mark,
        title=title,
    )


def _judge(good: bool) -> str:
    return "right" if good else "wrong"
