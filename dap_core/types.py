"""The values that pass between stages: maps, boxes, class lists, labelled images.

All of them are frozen. Boxes are float32 `xyxy` in absolute pixels of the upright image, 0-based and
half-open (ADR 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dap_core.errors import ImageError, StoreError, UnknownLabelError, WorkerCrashError

AUTO = "auto"
"""The label that stands for the classifier's own first choice."""
FloatArray: TypeAlias = NDArray[np.float32]
Label: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class ImageClass:
    """One class a classifier can name: WordNet id (or any unique id) and English name."""

    wnid: str
    name: str


@dataclass(frozen=True)
class ClassList:
    """The classes of a classifier in the order of its output.

    Labels are looked up by wnid, then by name (case-insensitive), then as the `name (wnid)` that exports write for a
    name of several classes, then by index, so that the order of folders never decides what a label means.

    >>> classes = ClassList.from_pairs([("n01440764", "tench"), ("n01443537", "goldfish")])
    >>> classes.index_of("n01443537"), classes.index_of("Tench"), classes.index_of(1)
    (1, 0, 1)
    """

    classes: tuple[ImageClass, ...]

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]]) -> ClassList:
        """The class list of (wnid, name) pairs in output order; raises ValueError on a repeated wnid."""
        classes = tuple(ImageClass(wnid, name) for wnid, name in pairs)
        if len({item.wnid for item in classes}) != len(classes):
            raise ValueError("every class of a class list needs a wnid of its own; one occurs twice")
        return cls(classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: int) -> ImageClass:
        return self.classes[index]

    @cached_property
    def _index_by_wnid(self) -> dict[str, int]:
        return {item.wnid: index for index, item in enumerate(self.classes)}

    @cached_property
    def _indices_by_name(self) -> dict[str, list[int]]:
        indices: dict[str, list[int]] = {}
        for index, item in enumerate(self.classes):
            indices.setdefault(item.name.casefold(), []).append(index)
        return indices

    def index_of(self, label: Label) -> int:
        """The output index that `label` (wnid, name or index) stands for.

        Raises UnknownLabelError when nothing matches (it names the nearest classes) or when a name
        belongs to several classes (it names their wnids).
        """
        if isinstance(label, int | np.integer) and not isinstance(label, bool):
            return self._check_index(int(label))
        if not isinstance(label, str):
            raise UnknownLabelError(f"a label is a wnid, name or index, got {label!r} ({type(label).__name__})")
        matches = self._find_text(label)
        if len(matches) > 1:
            wnids = ", ".join(self.classes[index].wnid for index in matches)
            raise UnknownLabelError(f"label {label!r} names {len(matches)} classes; use one of the wnids {wnids}")
        if matches:
            return matches[0]
        if label.isdecimal():
            return self._check_index(int(label))
        raise UnknownLabelError(
            f"label {label!r} is no wnid, name or index of the {len(self)} classes{self._hint(label)}"
        )

    def knows(self, label: str) -> bool:
        """Whether `index_of` finds a label; where it does not, this does not look for what is near."""
        matches = self._find_text(label)
        return len(matches) == 1 or (not matches and label.isdecimal() and int(label) < len(self))

    def _find_text(self, label: str) -> list[int]:
        """The classes with this wnid, name or full name."""
        if label in self._index_by_wnid:
            return [self._index_by_wnid[label]]
        return self._indices_by_name.get(label.casefold()) or self._find_full_name(label)

    def _find_full_name(self, label: str) -> list[int]:
        """The class of a label `name (wnid)`, none unless both are right."""
        name, _, wnid = label.removesuffix(")").rpartition(" (")
        index = self._index_by_wnid.get(wnid) if label.endswith(")") else None
        if index is None or _fold_name(self.classes[index].name) != _fold_name(name):
            return []
        return [index]

    def _check_index(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise UnknownLabelError(f"label {index} is outside the {len(self)} classes (0 to {len(self) - 1})")
        return index

    def _hint(self, label: str) -> str:
        known = list(self._indices_by_name) + list(self._index_by_wnid)
        nearest = get_close_matches(label.casefold(), known, n=3)
        return f"; nearest: {', '.join(nearest)}" if nearest else ""


def _fold_name(name: str) -> str:
    return " ".join(name.split()).casefold()


@dataclass(frozen=True, slots=True)
class FeatureGrid:
    """Centres of feature cells in input pixels: cell i is centred on pixel index `origin + stride * i`.

    `origin_xy` is that of the first column and row; `stride` is the same in both directions.
    """

    origin_xy: tuple[float, float]
    stride: int


@dataclass(frozen=True, slots=True)
class Cam:
    """The class activation map of one forward pass and one label, rounded to 16 bits for storage.

    The map is stored as the network saw the padded canvas, already mirrored back. Row 0, column 0 is
    cell (0, 0); its centre lies at `origin_xy` in pixels of the upright image (half-open continuous
    coordinates), and neighbours are `pitch_xy` apart. Cells beyond `valid_hw` are centred on padding.
    A map with NaN or infinity is kept as such: `lowest` and `highest` are NaN and every value is 0.
    """

    label: int
    short_side: int
    mirrored: bool
    values: NDArray[np.uint16]  # [h, w]
    lowest: float
    highest: float
    origin_xy: tuple[float, float]
    pitch_xy: tuple[float, float]
    valid_hw: tuple[int, int]

    @classmethod
    def from_map(
        cls,
        map_hw: FloatArray,
        *,
        label: int,
        short_side: int,
        mirrored: bool,
        origin_xy: tuple[float, float],
        pitch_xy: tuple[float, float],
        valid_hw: tuple[int, int],
    ) -> Cam:
        """Rounds a float map [h, w] to 65,536 steps between its lowest and highest value."""
        lowest, highest = float(map_hw.min()), float(map_hw.max())
        values = np.zeros(map_hw.shape, np.uint16)
        if not np.isfinite([lowest, highest]).all():
            lowest = highest = float("nan")
        elif highest > lowest:
            values = np.rint((map_hw.astype(np.float64) - lowest) * (65535 / (highest - lowest))).astype(np.uint16)
        return cls(label, short_side, mirrored, values, lowest, highest, origin_xy, pitch_xy, valid_hw)

    def to_map(self) -> FloatArray:
        """The float32 map [h, w] that the rounded values stand for."""
        step = (self.highest - self.lowest) / 65535
        return self.values.astype(np.float32) * np.float32(step) + np.float32(self.lowest)


class PseudoBox(NamedTuple):
    """One box: corners float32 [4] xyxy, label index, score, and the threshold it was cut at."""

    xyxy: FloatArray
    label: int
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class PseudoBoxes:
    """Boxes mined from maps: `boxes` [N, 4] float32 xyxy, with label, score and threshold of each [N]."""

    boxes: FloatArray
    labels: NDArray[np.int32]
    scores: FloatArray
    thresholds: FloatArray

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[PseudoBox]:
        columns = (self.labels.tolist(), self.scores.tolist(), self.thresholds.tolist())
        return map(PseudoBox, self.boxes, *columns)

    @classmethod
    def empty(cls) -> PseudoBoxes:
        """No boxes."""
        none = np.zeros(0, np.float32)
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int32), none, none)

    @classmethod
    def concatenate(cls, parts: Sequence[PseudoBoxes]) -> PseudoBoxes:
        """All boxes of `parts` in order; no boxes for no parts."""
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.thresholds for part in parts]),
        )

    def take(self, indices: NDArray[np.intp]) -> PseudoBoxes:
        """The boxes at `indices`, in that order."""
        return PseudoBoxes(self.boxes[indices], self.labels[indices], self.scores[indices], self.thresholds[indices])


@dataclass(frozen=True, slots=True)
class MinedBoxes:
    """What mining made of one image's maps: boxes, and for each label without any the reason."""

    boxes: PseudoBoxes
    no_box_reasons: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """One image turned into pseudo boxes.

    `size_wh` is the upright size in pixels. `label_scores` and `top1_score` are softmax probabilities
    of the classifier, its logits averaged over all passes.
    """

    size_wh: tuple[int, int]
    exif_orientation: int
    labels: tuple[int, ...]
    label_scores: tuple[float, ...]
    top1: int
    top1_score: float
    mined: MinedBoxes
    cams: tuple[Cam, ...] = field(repr=False)

    @property
    def boxes(self) -> PseudoBoxes:
        """The mined boxes of all labels."""
        return self.mined.boxes


@dataclass(frozen=True, slots=True)
class FailedImage:
    """One image that could not be labelled, and the error that says why."""

    error: ImageError | UnknownLabelError | StoreError | WorkerCrashError


@dataclass(frozen=True, slots=True, eq=False)
class PredictedImage:
    """What a detector found in one image, best first.

    `boxes` float32 [n, 4] xyxy, half-open, in pixels of the upright image of `size_wh`, all with an area inside it;
    `labels` int64 [n] are indices of the detector's classes; `scores` float32 [n] in [0, 1], descending.
    """

    size_wh: tuple[int, int]
    exif_orientation: int
    boxes: FloatArray
    labels: NDArray[np.int64]
    scores: FloatArray

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> PredictedImage:
        """The same image with some of its boxes."""
        kept = self.boxes[chosen], self.labels[chosen], self.scores[chosen]
        return PredictedImage(self.size_wh, self.exif_orientation, *kept)

    def keep_confident(self, least: float) -> PredictedImage:
        """The boxes with at least this score, and the best one whatever its score (the authors' self-training)."""
        return self.take(self.scores >= min(np.float32(least), self.scores.max(initial=0)))

    def sum_scores(self, num_classes: int) -> NDArray[np.float64]:
        """The detector as a classifier: the sum of the scores of each class's boxes, [num_classes] (section 4.3)."""
        return np.bincount(self.labels, self.scores, num_classes).astype(np.float64)
