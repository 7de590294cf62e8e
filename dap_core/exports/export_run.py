"""One export while it is written: names, classes and images, the same for every format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dap_core.exports.categories import Category, choose_categories, keep_boxes
from dap_core.exports.file_names import FileNames, NameRule, keep_key
from dap_core.exports.image_files import ImageFiles
from dap_core.exports.options import ClassChoice, ExportOptions, ExportReport
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.types import FloatArray, PseudoBoxes


@dataclass(frozen=True, slots=True)
class ExportedBox:
    """One box of an export: corners float32 [4] xyxy in pixels, class, score and threshold."""

    xyxy: FloatArray
    category: Category
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ExportedImage:
    """One image of an export, counted from 1: its file name and the boxes that are kept."""

    number: int
    name: str
    row: LabelSetRow
    boxes: tuple[ExportedBox, ...]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the upright image."""
        return self.row.size_wh


class ExportRun:
    """Goes once through a label set; memory grows with one name per image, not with images or boxes."""

    def __init__(
        self,
        label_set: LabelSet,
        folder: Path,
        options: ExportOptions,
        *,
        classes: ClassChoice,
        name_rule: NameRule = keep_key,
        by_stem: bool = False,
    ) -> None:
        """Takes the folder to write to; `classes` is the choice of the format where `options` makes none."""
        self.label_set = label_set
        self.options = options
        self.categories = choose_categories(label_set, options.classes or classes, options.min_score)
        self.files = ImageFiles(label_set, options.images)
        self._keeps_keys = options.images == "none" and name_rule is keep_key and not by_stem
        self._names = FileNames(folder, name_rule, by_stem=by_stem)
        self._num_images = self._num_boxes = self._num_negatives = self._num_left_out = 0

    def images(self, folder: Path | None) -> Iterator[ExportedImage]:
        """All images with their boxes; their files are written to `folder`, when there is one, as they pass.

        A name is the key where no file of that name is written.
        """
        for row in self.files.rows():
            name = row.key if folder is None or self._keeps_keys else self._names.assign(row.key)
            if folder is not None:
                self.files.write(row, folder / name)
            kept = keep_boxes(row.boxes, self.options.min_score)
            self._num_images += 1
            self._num_boxes += len(kept)
            self._num_negatives += not len(kept)
            self._num_left_out += len(row.boxes) - len(kept)
            yield ExportedImage(self._num_images, name, row, self._name_boxes(kept))

    def report(self, *lost: str) -> ExportReport:
        """What was written so far, and what the format `lost`; empty words are no loss."""
        return ExportReport(
            num_images=self._num_images,
            num_boxes=self._num_boxes,
            num_failures_left_out=self.label_set.manifest.counts.num_failed,
            num_rotated=self.files.num_rotated,
            num_negatives=self._num_negatives,
            num_classes=len(self.categories.items),
            num_boxes_left_out=self._num_left_out,
            num_renamed=self._names.num_renamed,
            num_copied_instead=self.files.num_copied_instead,
            lost=tuple(filter(None, lost)),
        )

    def _name_boxes(self, boxes: PseudoBoxes) -> tuple[ExportedBox, ...]:
        return tuple(ExportedBox(box.xyxy, self.categories[box.label], box.score, box.threshold) for box in boxes)
