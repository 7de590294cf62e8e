"""What the service found, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from dap_client.errors import error_of_problem
from dap_client.heat_maps import Cam, HeatMap, merge_cams
from dap_client.problems import Problem

if TYPE_CHECKING:
    from PIL import Image

    from dap_client.formats import VocFlavor
    from dap_client.images import ImageLike

Xyxy: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ImageClass:
    """One class of the classifier: its index, WordNet id and English name."""

    index: int
    wnid: str
    name: str


@dataclass(frozen=True, slots=True)
class ScoredClass(ImageClass):
    """A class and its probability for one image."""

    score: float


@dataclass(frozen=True, slots=True)
class Box:
    """One pseudo box: corners in pixels of the upright image, 0-based and half-open; `label` is a class index."""

    xyxy: Xyxy
    label: int
    score: float
    threshold: float


@dataclass(frozen=True)
class Result:
    """What was found in one image, or its problem; then it has no boxes, and a size of 0.

    Boxes are ordered by label, then best first. `index` counts the images of the call, `name` is the path as it was
    given, `image_labels` are the labels that boxes were looked for, and `no_box_reasons` says why a label has none.
    `raw` is the item as the service sent it.
    """

    index: int
    name: str | None
    width: int = 0
    height: int = 0
    exif_orientation: int = 1
    image_labels: tuple[ScoredClass, ...] = ()
    top1: ScoredClass | None = None
    boxes: tuple[Box, ...] = ()
    no_box_reasons: tuple[tuple[int, str], ...] = ()
    cams: tuple[Cam, ...] = field(default=(), repr=False)
    problem: Problem | None = None
    model: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def xyxy(self) -> tuple[Xyxy, ...]:
        """The corners of each box; `numpy.array(result.xyxy).reshape(-1, 4)` for arithmetic."""
        return tuple(box.xyxy for box in self.boxes)

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each box."""
        return tuple(box.score for box in self.boxes)

    @property
    def label_ids(self) -> tuple[int, ...]:
        """The class index of each box."""
        return tuple(box.label for box in self.boxes)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class name of each box."""
        return tuple(self.class_of(box.label).name for box in self.boxes)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The threshold each box was cut at."""
        return tuple(box.threshold for box in self.boxes)

    @cached_property
    def cam(self) -> dict[int, HeatMap]:
        """The heat map of each label by class index, as `merge_cams` makes it; empty unless asked for with `cams`."""
        by_label: dict[int, list[Cam]] = {}
        for cam in self.cams:
            by_label.setdefault(cam.label, []).append(cam)
        return {label: merge_cams(cams, (self.width, self.height)) for label, cams in by_label.items()}

    def class_of(self, label: int) -> ImageClass:
        """The class of an index that occurs in this result; raises KeyError for another one."""
        for one in self.image_labels:
            if one.index == label:
                return one
        raise KeyError(f"label {label} is none of this image; it has {[one.index for one in self.image_labels]}")

    def raise_for_problem(self) -> Result:
        """The same result; raises the error of its problem if it has one."""
        if self.problem is not None:
            raise error_of_problem(self.problem)
        return self

    def to_coco(self) -> dict[str, Any]:
        """A COCO data set of this image, as `dap_client.to_coco` makes it."""
        from dap_client.formats import to_coco

        return to_coco([self])

    def to_yolo(self, label_ids: list[int] | None = None) -> str:
        """Lines `class cx cy w h`, as `dap_client.to_yolo` makes them."""
        from dap_client.formats import to_yolo

        return to_yolo(self, label_ids)

    def to_voc(self, flavor: VocFlavor = "devkit") -> str:
        """A Pascal VOC document, as `dap_client.to_voc` makes it."""
        from dap_client.formats import to_voc

        return to_voc(self, flavor)

    def plot(self, image: ImageLike) -> Image.Image:
        """The image with its boxes, as `dap_client.plotting.plot_result` draws them; needs `dap-client[plot]`."""
        from dap_client.plotting import plot_result

        return plot_result(self, image)
