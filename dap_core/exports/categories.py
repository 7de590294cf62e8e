"""The classes of an export: their names, made unique, and their numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dap_core.exports.options import ClassChoice
from dap_core.label_sets import LabelSet
from dap_core.types import ClassList, PseudoBoxes

UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot hold, and no name needs."""


@dataclass(frozen=True, slots=True)
class Category:
    """One class of an export, counted from 0."""

    number: int
    name: str
    wnid: str


@dataclass(frozen=True)
class Categories:
    """The classes of an export in order, and which of them a label of the label set is."""

    items: tuple[Category, ...]
    numbers: dict[int, int]

    def __getitem__(self, label: int) -> Category:
        return self.items[self.numbers[label]]

    @property
    def names(self) -> list[str]:
        """All names, in order."""
        return [item.name for item in self.items]


def choose_categories(label_set: LabelSet, choice: ClassChoice, min_score: float) -> Categories:
    """All classes of a label set, or those that have a box of at least `min_score`, in the order of the label set."""
    labels: Iterable[int] = range(len(label_set.classes))
    if choice == "used":
        rows = label_set.rows(cams=False)
        labels = sorted({int(label) for row in rows for label in keep_boxes(row.boxes, min_score).labels})
    names = name_classes(label_set.classes)
    chosen = list(labels)
    items = tuple(Category(number, names[label], label_set.classes[label].wnid) for number, label in enumerate(chosen))
    return Categories(items, {label: number for number, label in enumerate(chosen)})


def keep_boxes(boxes: PseudoBoxes, min_score: float) -> PseudoBoxes:
    """The boxes of at least `min_score`, compared as scores are stored, in float32."""
    with np.errstate(over="ignore"):
        least = np.float32(min_score)
    return boxes.take(np.flatnonzero(boxes.scores >= least))


def name_classes(classes: ClassList) -> list[str]:
    """A name for each class that no other has: a name that several share gets the wnid added.

    Blanks around a name go, and so do line breaks and the like within; a class without a name gets its wnid.
    """
    names = [" ".join(UNWRITABLE.sub(" ", item.name).split()) or item.wnid for item in classes.classes]
    times = Counter(names)
    named = [
        name if times[name] == 1 else f"{name} ({item.wnid})" for name, item in zip(names, classes.classes, strict=True)
    ]
    again = Counter(named)
    return [name if again[name] == 1 else f"{name} [{index}]" for index, name in enumerate(named)]
