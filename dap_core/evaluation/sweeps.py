"""The sweeps of tables A1 and A2 on any label set, by re-cutting its stored maps once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dap_core.errors import InputError
from dap_core.evaluation.paper_tables import NMS_IOU, NMS_IOUS, TABLE_A1, TABLE_A2, THRESHOLDS, PaperColumn
from dap_core.label_sets import LabelSet
from dap_core.label_sets.schema import cams_from_batch
from dap_core.mining import MiningConfig, cut_boxes, merge_cams, suppress_boxes
from dap_core.passes import select_passes
from dap_core.recipes import Recipe
from dap_core.types import Cam, PseudoBoxes


@dataclass(frozen=True, slots=True)
class SweepColumn:
    """One column of a sweep, ours and the paper's.

    Sizes are means over boxes in pixels; shares are those means over the mean image width and height.
    """

    name: str
    num_boxes: int
    boxes_per_image: float
    standard_error: float
    """Of boxes per image, from the spread over the images: what chance in choosing them does."""
    mean_width: float
    mean_height: float
    width_share: float
    height_share: float
    paper: PaperColumn


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Both tables of one label set, cut by `recipe` from the maps of `num_images` images."""

    recipe: Recipe
    num_images: int
    mean_image_wh: tuple[float, float]
    by_threshold: tuple[SweepColumn, ...]
    """Table A1: each threshold alone, then all (`multi`), NMS IoU 0.8."""
    by_nms_iou: tuple[SweepColumn, ...]
    """Table A2: all thresholds, NMS IoU 0.5 to 1.0."""


class _Column:
    """Sums of one column: how its boxes are chosen, and what was seen so far."""

    def __init__(self, name: str, config: MiningConfig, paper: PaperColumn) -> None:
        self.name, self.config, self.paper = name, config, paper
        self.taus = np.array(config.thresholds, np.float32)
        self.num_boxes = 0
        self.sum_of_squares = 0
        self.sides: NDArray[np.float64] = np.zeros(2)

    def add(self, labels: Iterable[PseudoBoxes]) -> None:
        """Counts one image, given the candidates of each of its labels."""
        count = 0
        for candidates in labels:
            chosen = candidates.take(np.flatnonzero(np.isin(candidates.thresholds, self.taus)))
            boxes = suppress_boxes(chosen, self.config).boxes
            count += len(boxes)
            self.sides += (boxes[:, 2:] - boxes[:, :2]).sum(axis=0)
        self.num_boxes += count
        self.sum_of_squares += count**2

    def finish(self, num_images: int, mean_image_wh: NDArray[np.float64]) -> SweepColumn:
        means = self.sides / max(self.num_boxes, 1)
        shares = means / np.maximum(mean_image_wh, 1)
        mean_count = self.num_boxes / max(num_images, 1)
        variance = max(self.sum_of_squares / max(num_images, 1) - mean_count**2, 0.0)
        return SweepColumn(
            name=self.name,
            num_boxes=self.num_boxes,
            boxes_per_image=mean_count,
            standard_error=math.sqrt(variance / max(num_images, 1)),
            mean_width=float(means[0]),
            mean_height=float(means[1]),
            width_share=float(shares[0]),
            height_share=float(shares[1]),
            paper=self.paper,
        )


def compute_sweeps(label_set: LabelSet, recipe: Recipe | None = None) -> Sweeps:
    """Tables A1 and A2 of a label set, in one pass over its shards; `recipe` left out is that of the set.

    Maps are merged and components found once per label; each column then picks thresholds and applies NMS.
    Raises InputError when the set holds no maps, or not those that `recipe` needs.
    """
    settings = label_set.manifest.settings
    if not settings.store_cams:
        raise InputError(f"{label_set.store.uri} holds no maps, so the sweeps cannot be cut")
    recipe = recipe or settings.mining_recipe
    columns_a1, columns_a2 = _make_columns(recipe.mining)
    widest = replace(recipe.mining, thresholds=THRESHOLDS)
    num_images = 0
    image_wh: NDArray[np.float64] = np.zeros(2)
    for cams, size_wh in _read_maps(label_set):
        num_images += 1
        image_wh += size_wh
        labels = list(_cut_labels(select_passes(cams, recipe.cam), size_wh, widest))
        for column in (*columns_a1, *columns_a2):
            column.add(labels)
    mean_wh = image_wh / max(num_images, 1)
    return Sweeps(
        recipe=recipe,
        num_images=num_images,
        mean_image_wh=(float(mean_wh[0]), float(mean_wh[1])),
        by_threshold=tuple(column.finish(num_images, mean_wh) for column in columns_a1),
        by_nms_iou=tuple(column.finish(num_images, mean_wh) for column in columns_a2),
    )


def _make_columns(base: MiningConfig) -> tuple[list[_Column], list[_Column]]:
    single = [
        _Column(str(tau), replace(base, thresholds=(tau,), nms_iou=NMS_IOU), TABLE_A1[str(tau)]) for tau in THRESHOLDS
    ]
    multi = _Column("multi", replace(base, thresholds=THRESHOLDS, nms_iou=NMS_IOU), TABLE_A1["multi"])
    by_iou = [
        _Column(str(iou), replace(base, thresholds=THRESHOLDS, nms_iou=iou), TABLE_A2[str(iou)]) for iou in NMS_IOUS
    ]
    return [*single, multi], by_iou


def _read_maps(label_set: LabelSet) -> Iterator[tuple[tuple[Cam, ...], tuple[int, int]]]:
    for entry in label_set.shards:
        for batch in label_set.read_batches(entry, images=False):
            sizes = zip(batch.column("width").to_pylist(), batch.column("height").to_pylist(), strict=True)
            yield from zip(cams_from_batch(batch), sizes, strict=True)


def _cut_labels(cams: Iterable[Cam], size_wh: tuple[int, int], config: MiningConfig) -> Iterator[PseudoBoxes]:
    """The boxes of every label and threshold, before NMS."""
    by_label: dict[int, list[Cam]] = {}
    for cam in cams:
        by_label.setdefault(cam.label, []).append(cam)
    for label, of_label in by_label.items():
        merged = merge_cams(of_label, size_wh, config)
        if not isinstance(merged, str):
            yield cut_boxes(merged, label, size_wh, config)
