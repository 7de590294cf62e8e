"""Drawn boxes laid beside a label set: which truth belongs to which image and label, and what does not fit.

Everything that finds no counterpart is named in the report; nothing is dropped silently.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from dap_core.datasets import AnnotatedImage, Annotations, Problem
from dap_core.datasets.csv_boxes import ONLY_CLASS
from dap_core.errors import InputError, UnknownLabelError
from dap_core.label_sets import LabelSet
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
    """What could not be read of the truth files."""
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
    given, known = given or {}, list(annotations.class_names)
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
    """Truth by image and label, matched by key, else by file name, else by file name without suffix, if unique.

    An image whose truth was drawn at another size is left out: its boxes lie in another frame.
    """
    rows = {row.key: row for row in label_set.rows(cams=False)}
    failed = {failure.key for failure in label_set.failures()}
    matches, unmatched, ambiguous = match_keys([*rows, *failed], [image.key for image in annotations.images])
    by_key = {matches[image.key]: image for image in annotations.images if image.key in matches}
    found: dict[str, dict[int, FloatArray]] = {}
    other_size, labels_without_box, boxes_without_label = [], [], []
    for key, image in by_key.items():
        row = rows.get(key)
        if row is None:
            continue
        if image.size_wh not in (None, row.size_wh):
            other_size.append(f"{key}: truth {_name_size(image.size_wh)}, image {_name_size(row.size_wh)}")
            continue
        drawn = _group_by_label(image, class_map, row.labels)
        if drawn:
            found[key] = drawn
        names = label_set.classes
        labels_without_box += [f"{key}: {names[label].name}" for label in row.labels if label not in drawn]
        boxes_without_label += [f"{key}: {name}" for name in _list_unlabelled(image, class_map, row.labels)]
    report = TruthReport(
        num_images=len(rows),
        num_pairs=sum(map(len, found.values())),
        problems=annotations.problems,
        unmapped_classes=_count_unmapped(annotations, class_map),
        images_without_truth=tuple(key for key in rows if key not in by_key),
        truth_without_image=tuple(unmatched),
        ambiguous_truth=tuple(ambiguous),
        failed_images=tuple(key for key in by_key if key in failed),
        other_size=tuple(other_size),
        labels_without_box=tuple(labels_without_box),
        boxes_without_label=tuple(boxes_without_label),
    )
    return Truth(found, report)


def match_keys(keys: Sequence[str], truth_keys: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Truth key -> key, by the whole key, else the file name, else its stem; and unmatched and ambiguous truth keys.

    A name counts only when one key has it, and a key that several truth keys lead to is ambiguous for all of them.
    """
    indices = [(part, _index_by(keys, part)) for part in (_whole, _name, _stem)]
    matches: dict[str, str] = {}
    unmatched: list[str] = []
    ambiguous: list[str] = []
    for truth_key in truth_keys:
        candidates = next((index[part(truth_key)] for part, index in indices if part(truth_key) in index), [])
        if len(candidates) == 1:
            matches[truth_key] = candidates[0]
        else:
            (ambiguous if candidates else unmatched).append(truth_key)
    times = Counter(matches.values())
    shared = [truth_key for truth_key, key in matches.items() if times[key] > 1 and truth_key != key]
    for truth_key in shared:
        del matches[truth_key]
    return matches, unmatched, ambiguous + shared


def _index_by(keys: Sequence[str], part: Callable[[str], str]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        index[part(key)].append(key)
    return index


def _whole(key: str) -> str:
    return key


def _name(key: str) -> str:
    return PurePosixPath(key).name


def _stem(key: str) -> str:
    return PurePosixPath(key).stem


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


def _name_size(size_wh: tuple[int, int] | None) -> str:
    return f"{size_wh[0]} x {size_wh[1]}" if size_wh else "unknown"
