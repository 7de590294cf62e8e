"""Drawn boxes by image and class of a detector: what its detections are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dap_core.datasets import AnnotatedImage, Annotations
from dap_core.errors import InputError
from dap_core.types import ClassList, FloatArray, PredictedImage

Found = Mapping[str, PredictedImage]
"""What a detector found, by the key of the image; an image that is not there counts as one without detections."""
_NUM_NAMED = 10


@dataclass(frozen=True, slots=True, eq=False)
class DrawnBoxes:
    """The boxes of one image: float32 [m, 4] xyxy, class indices int64 [m], and which are to be ignored [m].

    What is ignored (VOC `difficult`, COCO crowds) is neither to be found nor to be counted against.
    """

    boxes: FloatArray
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    def select(self, labels: int | NDArray[np.intp]) -> DrawnBoxes:
        """The boxes of one class, or of some."""
        own = self.labels == labels if isinstance(labels, int) else np.isin(self.labels, labels)
        return DrawnBoxes(self.boxes[own], self.labels[own], self.ignored[own])


@dataclass(frozen=True, slots=True)
class DetectionTruth:
    """Drawn boxes of images by their keys, labelled with indices of `classes`, those of the detector."""

    classes: ClassList
    images: dict[str, DrawnBoxes]

    def select(self, labels: NDArray[np.intp]) -> DetectionTruth:
        """The same images with the boxes of some classes."""
        return DetectionTruth(self.classes, {key: drawn.select(labels) for key, drawn in self.images.items()})

    def count_boxes(self) -> NDArray[np.intp]:
        """How many boxes of each class are to be found, [K]."""
        return self._count([drawn.labels[~drawn.ignored] for drawn in self.images.values()])

    def count_ignored(self) -> NDArray[np.intp]:
        """How many boxes of each class are ignored, [K]."""
        return self._count([drawn.labels[drawn.ignored] for drawn in self.images.values()])

    def _count(self, labels: list[NDArray[np.int64]]) -> NDArray[np.intp]:
        return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=len(self.classes))

    def list_only_labels(self) -> dict[str, int] | None:
        """The one class of each image by its key; None unless every image has boxes of exactly one class."""
        only = {key: set(drawn.labels.tolist()) for key, drawn in self.images.items()}
        if any(len(labels) != 1 for labels in only.values()):
            return None
        return {key: labels.pop() for key, labels in only.items()}


def make_detection_truth(
    annotations: Annotations, classes: ClassList, *, class_agnostic: bool = False
) -> DetectionTruth:
    """The drawn boxes with the class indices of a detector, found by wnid or name.

    For a `class_agnostic` detector every box is of its one class, whatever was drawn. Raises InputError for classes
    that the detector does not know, naming them.
    """
    every = dict.fromkeys(annotations.all_class_names, 0)
    indices = every if class_agnostic else _match_classes(annotations, classes)
    return DetectionTruth(classes, {image.key: _convert(image, indices) for image in annotations.images})


def find_other_sizes(found: Found, annotations: Annotations) -> dict[str, str]:
    """Images whose boxes were drawn at another size than the image has, by key, with both sizes in words."""
    sizes = {image.key: image.size_wh for image in annotations.images}
    return {
        key: f"{_name_size(drawn)} in the annotations, {_name_size(one.size_wh)} as decoded"
        for key, one in found.items()
        if (drawn := sizes.get(key)) is not None and drawn != one.size_wh
    }


def _match_classes(annotations: Annotations, classes: ClassList) -> dict[str, int]:
    drawn = Counter(name for image in annotations.images for name in image.class_names)
    texts = {text for item in classes.classes for text in (item.wnid, item.name)}
    known = {name for name in drawn if classes.knows(name) and (not name.isdecimal() or name in texts)}
    unknown = [f"{name} ({number} boxes)" for name, number in drawn.most_common() if name not in known]
    if unknown:
        listed = ", ".join(item.name for item in classes.classes[:_NUM_NAMED])
        more = f" and {len(classes) - _NUM_NAMED} more" if len(classes) > _NUM_NAMED else ""
        raise InputError(
            f"the detector does not know {len(unknown)} classes of the annotations: {', '.join(unknown[:_NUM_NAMED])}; "
            f"it knows {listed}{more}; map each to one of them, or leave it out, with --map CLASS=NAME or CLASS="
        )
    return {name: classes.index_of(name) for name in known}


def _convert(image: AnnotatedImage, indices: Mapping[str, int]) -> DrawnBoxes:
    labels = np.array([indices[name] for name in image.class_names], np.int64)
    return DrawnBoxes(image.boxes, labels, image.ignored)


def _name_size(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]} x {size_wh[1]} px"
