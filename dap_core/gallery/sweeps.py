"""The paper's figures A1 and A2 on any label set: boxes over the values of one mining parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from dap_core.errors import InputError
from dap_core.evaluation.paper_tables import NMS_IOU, NMS_IOUS, THRESHOLDS
from dap_core.gallery.cards import (
    DrawnBox,
    Picture,
    ShownLabel,
    describe_missing_boxes,
    draw_boxes,
    make_photo,
    show_labels,
)
from dap_core.gallery.frame import render_page
from dap_core.gallery.pictures import compute_picture_bytes
from dap_core.gallery.selection import describe_spread, read_rows, spread_positions
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.mining import MiningConfig, mine_boxes
from dap_core.passes import select_passes

SweepName: TypeAlias = Literal["thresholds", "nms"]

_TITLES: dict[SweepName, str] = {
    "thresholds": f"boxes by CAM threshold τ, NMS IoU {NMS_IOU:g}",
    "nms": f"boxes by NMS IoU, thresholds {', '.join(map(str, THRESHOLDS))}",
}


@dataclass(frozen=True, slots=True)
class SweepColumn:
    """One value of a sweep: its name on the page, and the mining it stands for."""

    name: str
    config: MiningConfig


@dataclass(frozen=True, slots=True)
class SweepCell:
    """The boxes of one image in one column, and the reasons of labels without any."""

    boxes: tuple[DrawnBox, ...]
    no_box: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One image in all columns."""

    key: str
    size_wh: tuple[int, int]
    photo: Picture
    labels: tuple[ShownLabel, ...]
    cells: tuple[SweepCell, ...]


def render_sweep(label_set: LabelSet, sweep: SweepName, *, num_images: int = 12) -> str:
    """An HTML page with a row per image and a column per value of one mining parameter, boxes drawn.

    `thresholds` is figure A1 (each threshold alone, then all merged), `nms` figure A2. Boxes are cut again
    from the stored maps with the set's recipe but for the two parameters that the paper varies. Images are
    chosen and pictures kept small as in `render_gallery`.

    Raises InputError when the set holds no maps, ValueError for an unknown sweep or `num_images` below 1.
    """
    if sweep not in _TITLES:
        raise ValueError(f"sweep must be one of {', '.join(_TITLES)}, got {sweep!r}")
    settings = label_set.manifest.settings
    if not settings.store_cams:
        raise InputError(f"{label_set.store.uri} was mined without storing maps, so boxes cannot be cut again")
    columns = make_sweep_columns(settings.mining_recipe.mining, sweep)
    positions = spread_positions(label_set.manifest.counts.num_ok, num_images)
    picture_bytes = compute_picture_bytes(len(positions))
    rows = [_make_row(label_set, row, columns, picture_bytes) for _, row in read_rows(label_set, positions)]
    return render_page(
        "sweep.html",
        label_set,
        THRESHOLDS,
        subtitle=f"{describe_spread(label_set, positions)}: {_TITLES[sweep]}",
        columns=[(column.name, _mean_boxes(rows, index)) for index, column in enumerate(columns)],
        rows=rows,
    )


def make_sweep_columns(base: MiningConfig, sweep: SweepName) -> tuple[SweepColumn, ...]:
    """The columns of figure A1 (`thresholds`) or A2 (`nms`), everything else as in `base`."""
    every = replace(base, thresholds=THRESHOLDS, nms_iou=NMS_IOU)
    if sweep == "nms":
        return tuple(SweepColumn(f"NMS IoU {iou}", replace(every, nms_iou=iou)) for iou in NMS_IOUS)
    single = (SweepColumn(f"τ = {tau}", replace(every, thresholds=(tau,))) for tau in THRESHOLDS)
    return (*single, SweepColumn("multi", every))


def _make_row(label_set: LabelSet, row: LabelSetRow, columns: Sequence[SweepColumn], picture_bytes: int) -> SweepRow:
    cams = select_passes(row.cams, label_set.manifest.settings.mining_recipe.cam)
    mined = [mine_boxes(cams, row.size_wh, column.config) for column in columns]
    return SweepRow(
        key=row.key,
        size_wh=row.size_wh,
        photo=make_photo(label_set, row, picture_bytes),
        labels=show_labels(label_set, row),
        cells=tuple(
            SweepCell(
                draw_boxes(label_set, row, item.boxes, THRESHOLDS),
                describe_missing_boxes(label_set, item.no_box_reasons),
            )
            for item in mined
        ),
    )


def _mean_boxes(rows: Sequence[SweepRow], index: int) -> str:
    return f"{sum(len(row.cells[index].boxes) for row in rows) / max(1, len(rows)):.2f}"
