"""The parameters of a request, as they are written in JSON and in a query."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

AUTO = "auto"
"""The label that stands for the classifier's own first choice."""

Label: TypeAlias = str | int
Labels: TypeAlias = Label | Sequence[Label] | Sequence[Sequence[Label]]
RecipeName: TypeAlias = Literal["aligned", "paper", "official"] | str
LabelValues: TypeAlias = str | list[Label] | list[list[Label]]
"""Labels as JSON has them: `"auto"`, those of all images, or those of each."""
Query: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BoxOptions:
    """How boxes are cut; what is None is left to the service."""

    recipe: RecipeName | None = None
    thresholds: Sequence[float] | None = None
    scales: Sequence[int] | None = None
    nms_iou: float | None = None
    cams: bool = False

    def to_json(self) -> dict[str, Any]:
        """The options that were given, as JSON values."""
        values = {
            "recipe": self.recipe,
            "thresholds": None if self.thresholds is None else [float(one) for one in self.thresholds],
            "scales": None if self.scales is None else [operator.index(one) for one in self.scales],
            "nms_iou": None if self.nms_iou is None else float(self.nms_iou),
            "cams": True if self.cams else None,
        }
        return {name: value for name, value in values.items() if value is not None}


class LabelChoice:
    """The labels of a call: the same ones for all images, or some for each."""

    def __init__(self, labels: Labels, num_images: int) -> None:
        """Takes one label, a list of labels for all images, or as many lists as images.

        Raises ValueError for a number of lists other than that of images and for no label, TypeError for what is
        no label.
        """
        self._of_each: list[list[Label]] | None = None
        self._of_all: list[Label] = []
        several = [labels] if isinstance(labels, str) or not isinstance(labels, Iterable) else list(labels)
        if not several and num_images:
            raise ValueError('labels are empty; give at least one, or "auto" for the classifier\'s own choice')
        if any(_is_list(one) for one in several):
            self._of_each = [_read_list(one, index) for index, one in enumerate(several)]
            if len(several) != num_images:
                raise ValueError(f"as many lists of labels as images are needed, got {len(several)} for {num_images}")
        else:
            self._of_all = [_read_label(one) for one in several]

    @property
    def is_shared(self) -> bool:
        """Whether the labels hold for all images."""
        return self._of_each is None

    def of_images(self, start: int, stop: int) -> LabelValues:
        """The labels of the images `start` to `stop - 1`, as JSON values."""
        if self._of_each is not None:
            return self._of_each[start:stop]
        return AUTO if self._of_all == [AUTO] else self._of_all

    def of_image(self, index: int) -> list[Label]:
        """The labels of one image."""
        return self._of_all if self._of_each is None else self._of_each[index]


def write_params(labels: LabelValues, options: BoxOptions) -> str:
    """The part `params` of a multipart request. Raises ValueError for a number that JSON does not have."""
    return json.dumps({"labels": labels, **options.to_json()}, allow_nan=False)


def write_query(labels: list[Label], options: BoxOptions) -> Query:
    """The query of a request with one image."""
    query = [("labels", str(one)) for one in labels]
    for name, value in options.to_json().items():
        query += [(name, str(one).lower()) for one in (value if isinstance(value, list) else [value])]
    return tuple(query)


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)


def _read_list(labels: Any, index: int) -> list[Label]:
    read = [_read_label(one) for one in (labels if _is_list(labels) else [labels])]
    if not read:
        raise ValueError(f'image {index} has no label; give at least one, or ["auto"]')
    return read


def _read_label(label: Any) -> Label:
    """A label as JSON has it; an index of numpy becomes an int."""
    if isinstance(label, str):
        return label
    if isinstance(label, bool):
        raise TypeError("a label is a wnid, a class name or an index, got a bool")
    try:
        return operator.index(label)
    except TypeError:
        raise TypeError(f"a label is a wnid, a class name or an index, got {label!r}") from None
