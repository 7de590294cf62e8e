"""Label sets as pages to look at: one HTML file, nothing to load, opens from disk."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from dap_core.errors import ImageError, InputError, StoreError
from dap_core.evaluation.paper_tables import NMS_IOU, NMS_IOUS, THRESHOLDS
from dap_core.evaluation.triage import Suspicion
from dap_core.images import RgbPixels, decode_image, encode_jpeg
from dap_core.label_sets import Failure, LabelSet, LabelSetRow
from dap_core.mining import MiningConfig, merge_cams, mine_boxes
from dap_core.passes import select_passes
from dap_core.types import PseudoBoxes

Sweep = Literal["thresholds", "nms"]

THUMBNAIL_LONG_SIDE = 360
THUMBNAIL_QUALITY = 72
MAX_FAILURES_SHOWN = 200
_HEAT_WEIGHT = 0.55
_THRESHOLD_COLOURS = ("#56b4e9", "#00a07a", "#f5e04f", "#e8590c", "#cc79a7", "#ffffff")  # tell apart without red-green
_ENVIRONMENT = Environment(
    loader=PackageLoader("dap_core", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """One box to draw: left, top, width, height in pixels of the image, class of its colour, what it says."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a page: pixels as data URIs (None when they cannot be had), and captions."""

    key: str
    width: int
    height: int
    photo: str | None
    heat: str | None
    problem: str
    labels: str
    notes: tuple[str, ...]
    panels: tuple[tuple[DrawnBox, ...], ...]
    """Boxes of each column; a gallery has one."""


def render_gallery(label_set: LabelSet, *, num_images: int = 60, suspicions: Sequence[Suspicion] | None = None) -> str:
    """The gallery page: image, heat map and boxes by threshold of up to `num_images` images.

    Images are spread evenly over the stored order, or those of `suspicions`, in their order and with their
    reasons. A page of 60 images is about 3 MB. An image whose bytes are gone is a card that says so.
    """
    thresholds = label_set.manifest.settings.recipe.mining.thresholds
    if suspicions is None:
        wanted: dict[str, tuple[str, ...]] | None = None
        rows: Iterable[LabelSetRow] = _spread_rows(label_set, num_images)
    else:
        wanted = {item.key: item.reasons for item in suspicions[:num_images]}
        rows = (row for row in label_set.rows(images=True) if row.key in wanted)
    pictures = [
        _make_picture(label_set, row, [row.boxes], thresholds, (wanted or {}).get(row.key, ()), heat=True)
        for row in rows
    ]
    if wanted is not None:
        order = {key: position for position, key in enumerate(wanted)}
        pictures.sort(key=lambda picture: order[picture.key])
    return _render("gallery.html.j2", label_set, pictures, thresholds)


def render_sweep(label_set: LabelSet, sweep: Sweep, *, num_images: int = 12) -> str:
    """The paper's figure A1 (`thresholds`) or A2 (`nms`) on the images of a label set: a row each, cut again.

    Raises InputError when the label set holds no maps.
    """
    settings = label_set.manifest.settings
    if not settings.store_cams:
        raise InputError(f"{label_set.store.uri} holds no maps, so boxes cannot be cut again")
    columns = make_sweep_columns(settings.recipe.mining, sweep)
    pictures = []
    for row in _spread_rows(label_set, num_images):
        cams = select_passes(row.cams, settings.recipe.cam)
        boxes = [mine_boxes(cams, row.size_wh, config).boxes for config in columns.values()]
        pictures.append(_make_picture(label_set, row, boxes, THRESHOLDS, (), heat=False))
    return _render("sweep.html.j2", label_set, pictures, THRESHOLDS, sweep=sweep, columns=list(columns))


def make_sweep_columns(base: MiningConfig, sweep: Sweep) -> dict[str, MiningConfig]:
    """The columns of figure A1 or A2 by their names, as changes of one configuration."""
    if sweep == "nms":
        return {str(iou): replace(base, thresholds=THRESHOLDS, nms_iou=iou) for iou in NMS_IOUS}
    single = {str(tau): replace(base, thresholds=(tau,), nms_iou=NMS_IOU) for tau in THRESHOLDS}
    return {**single, "multi": replace(base, thresholds=THRESHOLDS, nms_iou=NMS_IOU)}


def _render(
    template: str, label_set: LabelSet, pictures: Sequence[Picture], thresholds: Sequence[float], **values: object
) -> str:
    failures: list[Failure] = []
    for failure in label_set.failures():
        if len(failures) == MAX_FAILURES_SHOWN:
            break
        failures.append(failure)
    counts = label_set.manifest.counts
    return _ENVIRONMENT.get_template(template).render(
        settings=label_set.manifest.settings,
        counts=counts,
        boxes_per_image=counts.num_boxes / max(counts.num_ok, 1),
        pictures=pictures,
        failures=failures,
        legend=list(zip(sorted(thresholds), _THRESHOLD_COLOURS * 3, strict=False)),
        **values,
    )


def _spread_rows(label_set: LabelSet, num_images: int) -> Iterator[LabelSetRow]:
    total = label_set.manifest.counts.num_ok
    chosen = {index * total // min(num_images, total) for index in range(min(num_images, total))} if total else set()
    for index, row in enumerate(label_set.rows(images=True)):
        if index in chosen:
            yield row


def _make_picture(
    label_set: LabelSet,
    row: LabelSetRow,
    columns: Sequence[PseudoBoxes],
    thresholds: Sequence[float],
    reasons: tuple[str, ...],
    *,
    heat: bool,
) -> Picture:
    try:
        thumbnail, problem = _make_thumbnail(decode_image(label_set.read_image(row)).pixels), ""
    except (ImageError, StoreError) as error:
        thumbnail, problem = None, str(error)
    classes = label_set.classes
    labels = ", ".join(
        f"{classes[label].name} {score:.2f}" for label, score in zip(row.labels, row.label_scores, strict=True)
    )
    notes = [f"no box for {classes[label].name}: {reason}" for label, reason in row.no_box_reasons]
    if not reasons and row.top1 not in row.labels:
        notes.append(f"the classifier says {classes[row.top1].name} {row.top1_score:.2f}")
    return Picture(
        key=row.key,
        width=row.size_wh[0],
        height=row.size_wh[1],
        photo=None if thumbnail is None else _to_data_uri(thumbnail),
        heat=_draw_heat(label_set, row, thumbnail) if heat and thumbnail is not None else None,
        problem=problem,
        labels=labels,
        notes=(*reasons, *(note for note in notes if note not in reasons)),
        panels=tuple(tuple(_draw_boxes(label_set, boxes, thresholds)) for boxes in columns),
    )


def _draw_boxes(label_set: LabelSet, boxes: PseudoBoxes, thresholds: Sequence[float]) -> Iterator[DrawnBox]:
    colours = {np.float32(threshold): index for index, threshold in enumerate(sorted(thresholds))}
    for box in boxes:
        left, top, right, bottom = (round(float(side), 1) for side in box.xyxy)
        name = label_set.classes[box.label].name
        text = f"{name}, threshold {box.threshold:.2g}, score {box.score:.2f}"
        colour = colours.get(np.float32(box.threshold), 0) % len(_THRESHOLD_COLOURS)
        yield DrawnBox(left, top, round(right - left, 1), round(bottom - top, 1), colour, text)


def _make_thumbnail(pixels: RgbPixels) -> RgbPixels:
    scale = min(1.0, THUMBNAIL_LONG_SIDE / max(pixels.shape[:2]))
    size_wh = tuple(max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0]))
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _draw_heat(label_set: LabelSet, row: LabelSetRow, thumbnail: RgbPixels) -> str | None:
    """The normalised map of the first label over the thumbnail, as the recipe merges it."""
    recipe = label_set.manifest.settings.recipe
    cams = [cam for cam in select_passes(row.cams, recipe.cam) if cam.label == row.labels[0]]
    merged = merge_cams(cams, row.size_wh, recipe.mining) if cams else "no-maps"
    if isinstance(merged, str):
        return None
    levels: NDArray[np.uint8] = np.rint(255 * merged).astype(np.uint8)
    resized = cv2.resize(levels, (thumbnail.shape[1], thumbnail.shape[0]), interpolation=cv2.INTER_LINEAR)
    colours = cv2.cvtColor(cv2.applyColorMap(resized, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    blended = cv2.addWeighted(colours, _HEAT_WEIGHT, thumbnail, 1 - _HEAT_WEIGHT, 0)
    return _to_data_uri(np.asarray(blended, np.uint8))


def _to_data_uri(pixels: RgbPixels) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(pixels, THUMBNAIL_QUALITY)).decode()}"
