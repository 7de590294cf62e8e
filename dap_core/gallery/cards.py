"""One image as a page shows it: pictures, boxes to draw, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dap_core.boxes import compute_areas
from dap_core.errors import ImageError, StoreError
from dap_core.gallery.pictures import blend_heat_map, encode_picture, shrink_image
from dap_core.images import RgbPixels, decode_image
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.merging import compute_grid_size, sample_map
from dap_core.mining import merge_cams
from dap_core.passes import select_passes
from dap_core.recipes import PredictionRecipe
from dap_core.types import PseudoBoxes

NO_BOX_REASONS = {
    "flat-map": "its map is flat",
    "not-finite": "its map holds NaN or infinity",
    "no-extent": "no region above a threshold has both width and height",
}
"""Why a label has no box, in words; the keys are the reasons that mining gives."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box in pixels of the upright image, its place in the thresholds, and what is said about it.

    `mark` is the number of its label on the card, empty where the image has one label only.
    """

    x: str
    y: str
    width: str
    height: str
    level: int
    threshold: str
    score: str
    label: str
    mark: str
    title: str


@dataclass(frozen=True, slots=True)
class ShownLabel:
    """A label of an image: its mark (see DrawnBox), class name and score."""

    mark: str
    name: str
    score: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A `data:` address, or None and the reason why there is no picture."""

    uri: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One image of the gallery. `heat_map` is None when the set holds no maps."""

    key: str
    size_wh: tuple[int, int]
    photo: Picture
    heat_map: Picture | None
    labels: tuple[ShownLabel, ...]
    first_choice: ShownLabel | None
    boxes: tuple[DrawnBox, ...]
    no_box: tuple[str, ...]
    suspicions: tuple[str, ...]


def make_card(label_set: LabelSet, row: LabelSetRow, picture_bytes: int, suspicions: Sequence[str] = ()) -> Card:
    """The card of one row; `picture_bytes` is what each of its pictures may take."""
    pixels = _read_thumbnail(label_set, row)
    return Card(
        key=row.key,
        size_wh=row.size_wh,
        photo=_encode_photo(pixels, picture_bytes),
        heat_map=_make_heat_map(label_set, row, pixels, picture_bytes),
        labels=show_labels(label_set, row),
        first_choice=_show_first_choice(label_set, row),
        boxes=draw_boxes(label_set, row, row.boxes, list_thresholds(label_set)),
        no_box=describe_missing_boxes(label_set, row.no_box_reasons),
        suspicions=tuple(suspicions),
    )


def make_photo(label_set: LabelSet, row: LabelSetRow, picture_bytes: int) -> Picture:
    """The thumbnail of a row, or what is wrong with its image."""
    return _encode_photo(_read_thumbnail(label_set, row), picture_bytes)


def draw_boxes(
    label_set: LabelSet, row: LabelSetRow, boxes: PseudoBoxes, thresholds: Sequence[float]
) -> tuple[DrawnBox, ...]:
    """Boxes of a row ready to draw, coloured by their place in `thresholds`; the smaller ones lie on top."""
    known = np.array(sorted(thresholds))
    predicted = isinstance(label_set.manifest.settings.recipe, PredictionRecipe)
    drawn = []
    for box in boxes.take(np.argsort(-compute_areas(boxes.boxes), kind="stable")):
        left, top, right, bottom = box.xyxy.tolist()
        name, threshold = name_class(label_set, box.label), "" if predicted else f", τ {box.threshold:g}"
        drawn.append(
            DrawnBox(
                x=f"{left:.2f}",
                y=f"{top:.2f}",
                width=f"{right - left:.2f}",
                height=f"{bottom - top:.2f}",
                level=int(np.abs(known - box.threshold).argmin()),
                threshold=f"{box.threshold:g}",
                score=f"{box.score:.2f}",
                label=name,
                mark=_mark_label(row, box.label),
                title=f"{name}{threshold}, score {box.score:.2f}",
            )
        )
    return tuple(drawn)


def list_thresholds(label_set: LabelSet) -> list[float]:
    """The thresholds of the set's recipe, ascending: the order of colours."""
    return sorted(set(label_set.manifest.settings.recipe.thresholds))


def show_labels(label_set: LabelSet, row: LabelSetRow) -> tuple[ShownLabel, ...]:
    """The labels of a row with name and score."""
    scored = zip(row.labels, row.label_scores, strict=True)
    return tuple(ShownLabel(_mark_label(row, label), name_class(label_set, label), f"{s:.1%}") for label, s in scored)


def describe_missing_boxes(label_set: LabelSet, reasons: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """For each label without boxes, a sentence that says why."""
    return tuple(
        f"no box for {name_class(label_set, label)}: {NO_BOX_REASONS.get(reason, reason)}" for label, reason in reasons
    )


def name_class(label_set: LabelSet, label: int) -> str:
    """The name of a class, or its number when the class list is too short."""
    return label_set.classes[label].name if 0 <= label < len(label_set.classes) else f"class {label}"


def _mark_label(row: LabelSetRow, label: int) -> str:
    if len(row.labels) < 2 or label not in row.labels:
        return ""
    return str(row.labels.index(label) + 1)


def _show_first_choice(label_set: LabelSet, row: LabelSetRow) -> ShownLabel | None:
    if row.top1 in row.labels or not row.labels:
        return None
    return ShownLabel("", name_class(label_set, row.top1), f"{row.top1_score:.1%}")


def _read_thumbnail(label_set: LabelSet, row: LabelSetRow) -> RgbPixels | str:
    try:
        return shrink_image(decode_image(label_set.read_image(row)).pixels)
    except (StoreError, ImageError, ValueError) as error:  # a key that leads out of the source is a ValueError
        return str(error)


def _encode_photo(thumbnail: RgbPixels | str, picture_bytes: int) -> Picture:
    if isinstance(thumbnail, str):
        return Picture(None, f"the image is not there: {thumbnail}")
    return Picture(encode_picture(thumbnail, picture_bytes))


def _make_heat_map(
    label_set: LabelSet, row: LabelSetRow, pixels: RgbPixels | str, picture_bytes: int
) -> Picture | None:
    """The heat map of the first label, over an even ground when the image is not there."""
    if not row.cams:
        return None
    recipe = label_set.manifest.settings.mining_recipe
    cams = [cam for cam in select_passes(row.cams, recipe.cam) if row.labels and cam.label == row.labels[0]]
    if not cams:
        return None
    merged = merge_cams(cams, row.size_wh, recipe.mining)
    if isinstance(merged, str):
        return Picture(None, f"no heat map: {NO_BOX_REASONS.get(merged, merged)}")
    if isinstance(pixels, str):
        columns, rows = compute_grid_size(row.size_wh, recipe.mining.grid_short_side)
        pixels = np.zeros((rows, columns, 3), np.uint8)
    sampled = sample_map(merged, row.size_wh, (pixels.shape[1], pixels.shape[0]))
    return Picture(encode_picture(blend_heat_map(pixels, sampled), picture_bytes))
