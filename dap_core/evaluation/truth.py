"""Drawn boxes laid beside a label set: which truth belongs to which image and label, and what does not fit.

Everything that finds no counterpart is named in the report; nothing is dropped silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dap_core.datasets import AnnotatedImage, Annotations, Problem
from dap_core.datasets.annotation_builder import check_corners
from dap_core.datasets.csv_boxes import ONLY_CLASS
from dap_core.datasets.fields import FieldError
from dap_core.errors import InputError, UnknownLabelError
from dap_core.evaluation.truth_keys import match_keys
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.types import ClassList, FloatArray

ClassMap = Mapping[str, frozenset[int]]
"""Labels of the classifier that each class of the truth stands for; a class without any is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthReport:
    """What of label set and truth has no counterpart, named one by one."""

    num_images: int
    """Images of the label set, failed ones left out."""
    num_pairs: int
    """Pairs of an image and one of its labels that have at least one drawn box: what is evaluated."""
    problems: tuple[Problem, ...]
    """What could not be read of the truth files, and boxes of truth without sizes that stick out of their image."""
    matched_by_name: int
    """Images whose truth has another key: the end of the path, or the name without suffix, had to do."""
    unmapped_classes: dict[str, int]
    """Classes of the truth that stand for no label, with the number of their boxes."""
    images_without_truth: tuple[str, ...]
    truth_without_image: tuple[str, ...]
    ambiguous_truth: tuple[str, ...]
    """Truth whose file name fits several images of the label set, or shares one image with other truth."""
    failed_images: tuple[str, ...]
    """Images with truth that could not be labelled."""
    other_size: tuple[str, ...]
    """Images whose size differs between truth and label set, with both sizes; they are left out."""
    labels_without_box: tuple[str, ...]
    """Labels of images with truth for which no box is drawn, as `key: class`."""
    boxes_without_label: tuple[str, ...]
    """Mapped classes drawn in an image that does not have their label, as `key: class`."""
    num_ignored: int
    """Boxes marked difficult or as a crowd, which are neither to be found nor to be counted against."""
    ignored_boxes: tuple[str, ...]
    """The classes of those boxes, as `key: class`."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The boxes to find, float32 [M, 4] with M >= 1, by key and label of the label set; and the report."""

    boxes: dict[str, dict[int, FloatArray]]
    report: TruthReport


def map_classes(
    annotations: Annotations, classes: ClassList, given: Mapping[str, Sequence[str]] | None = None
) -> ClassMap:
    """The labels that each truth class stands for: as `given`, else the class of that wnid or name, else none.

    Truth that names no classes (a CSV file of boxes only) stands for whatever label the image has.
    Raises InputError when `given` names a class that the truth does not have, UnknownLabelError for an unknown label.
    """
    given, known = given or {}, list(annotations.all_class_names)
    if known == [ONLY_CLASS] and not given:
        return {ONLY_CLASS: frozenset(range(len(classes)))}
    odd = sorted(set(given) - set(known))
    if odd:
        raise InputError(f"the truth has no class {', '.join(odd)}; it has {', '.join(sorted(known)[:20])}")
    mapped = {}
    for name in known:
        labels = given[name] if name in given else _same_name(name, classes)
        mapped[name] = frozenset(classes.index_of(label) for label in labels)
    return mapped


def match_truth(label_set: LabelSet, annotations: Annotations, class_map: ClassMap) -> Truth:
    """Truth by image and label, matched as `match_keys` does; where an export renamed images, by their original keys.

    An image whose truth was drawn at another size is left out: its boxes lie in another frame. Where the truth gives no
    size, its boxes are clipped to the image.
    """
    rows = {row.key: row for row in label_set.rows(cams=False)}
    failed = {failure.key: failure for failure in label_set.failures() if failure.key not in rows}
    matches, unmatched, ambiguous = match_keys([*rows, *failed], [_get_key(image) for image in annotations.images])
    by_key = {matches[_get_key(image)]: image for image in annotations.images if _get_key(image) in matches}
    pairs = _Pairs(label_set, class_map)
    for key, image in by_key.items():
        if key in rows:
            pairs.add(rows[key], image)
    report = TruthReport(
        num_images=len(rows),
        num_pairs=sum(map(len, pairs.boxes.values())),
        problems=(*annotations.problems, *pairs.problems),
        matched_by_name=sum(key != truth_key for truth_key, key in matches.items()),
        unmapped_classes=_count_unmapped(annotations, class_map),
        images_without_truth=tuple(key for key in rows if key not in by_key),
        truth_without_image=tuple(unmatched),
        ambiguous_truth=tuple(ambiguous),
        failed_images=tuple(key for key in by_key if key in failed),
        other_size=tuple(pairs.other_size),
        labels_without_box=tuple(pairs.labels_without_box),
        boxes_without_label=tuple(pairs.boxes_without_label),
        num_ignored=len(pairs.ignored_boxes),
        ignored_boxes=tuple(pairs.ignored_boxes),
    )
    return Truth(pairs.boxes, report)


class _Pairs:
    """The boxes to find, image by image, and what of them is left out."""

    def __init__(self, label_set: LabelSet, class_map: ClassMap) -> None:
        self._classes = label_set.classes
        self._class_map = class_map
        self.boxes: dict[str, dict[int, FloatArray]] = {}
        self.problems: list[Problem] = []
        self.other_size: list[str] = []
        self.labels_without_box: list[str] = []
        self.boxes_without_label: list[str] = []
        self.ignored_boxes: list[str] = []

    def add(self, row: LabelSetRow, image: AnnotatedImage) -> None:
        """Adds what is drawn on the image of a row."""
        if image.size_wh is None:
            image = self._clip(image, row.size_wh)
        elif image.size_wh != row.size_wh:
            sizes = f"truth {_name_size(image.size_wh)}, image {_name_size(row.size_wh)}"
            self.other_size.append(f"{row.key}: {sizes}")
            return
        drawn = _group_by_label(image, self._class_map, row.labels)
        if drawn:
            self.boxes[row.key] = drawn
        without = (label for label in row.labels if label not in drawn)
        self.labels_without_box += [f"{row.key}: {self._classes[label].name}" for label in without]
        unlabelled = _list_unlabelled(image, self._class_map, row.labels)
        self.boxes_without_label += [f"{row.key}: {name}" for name in unlabelled]
        ignored = (image.class_names[index] for index in np.flatnonzero(image.ignored))
        self.ignored_boxes += [f"{row.key}: {name}" for name in ignored]

    def _clip(self, image: AnnotatedImage, size_wh: tuple[int, int]) -> AnnotatedImage:
        """The image with its boxes held against a size that the truth did not know."""
        kept, boxes = [], image.boxes.copy()
        for index, (x1, y1, x2, y2) in enumerate(image.boxes.tolist()):
            where = f"{image.key} box {index + 1}"
            try:
                boxes[index], complaint = check_corners((x1, y1, x2, y2), size_wh)
            except FieldError as error:
                self.problems.append(Problem(where, f"{error} of {_name_size(size_wh)}"))
                continue
            if complaint:
                self.problems.append(Problem(where, complaint))
            kept.append(index)
        return replace(
            image,
            boxes=boxes[kept],
            class_names=tuple(image.class_names[index] for index in kept),
            ignored=image.ignored[kept],
            scores=None if image.scores is None else image.scores[kept],
        )


def _get_key(image: AnnotatedImage) -> str:
    return image.original_key or image.key


def _same_name(name: str, classes: ClassList) -> tuple[str, ...]:
    if name.isdecimal():  # a number in the truth is its own numbering, not the classifier's
        return ()
    try:
        classes.index_of(name)
    except UnknownLabelError:
        return ()
    return (name,)


def _group_by_label(image: AnnotatedImage, class_map: ClassMap, labels: Sequence[int]) -> dict[int, FloatArray]:
    """For each of `labels` the boxes drawn for a class that stands for it, where there are any."""
    drawn = {}
    for label in labels:
        wanted = np.array([label in class_map.get(name, ()) for name in image.class_names], bool) & ~image.ignored
        if wanted.any():
            drawn[label] = image.boxes[wanted]
    return drawn


def _list_unlabelled(image: AnnotatedImage, class_map: ClassMap, labels: Sequence[int]) -> list[str]:
    """The mapped classes drawn in an image that stand for none of its labels."""
    names = dict.fromkeys(image.class_names)
    return [name for name in names if class_map.get(name) and not class_map[name] & set(labels)]


def _count_unmapped(annotations: Annotations, class_map: ClassMap) -> dict[str, int]:
    names = Counter(name for image in annotations.images for name in image.class_names)
    return {name: number for name, number in names.most_common() if not class_map.get(name)}


def _name_size(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]} x {size_wh[1]}"
