"""Scenes of the synthetic set, drawn from a seed and an index alone, fast enough to train on them without any file.

Rules of a scene: the longer side of an object is 8% to 80% of the shorter side of the image; at least 60% of a labelled
object shows, the rest is covered by others or cut off by the border; its box is the extent of what shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from dap_core.datasets.synthetic_backgrounds import draw_background, light_scene
from dap_core.datasets.synthetic_classes import Look, list_class_looks, list_distractor_looks
from dap_core.datasets.synthetic_objects import Patch, draw_patch
from dap_core.images import RgbPixels
from dap_core.types import FloatArray

SceneKind = Literal["classification", "detection"]
SCENE_KINDS: tuple[SceneKind, ...] = get_args(SceneKind)
DEFAULT_SIZE_WH = (224, 160)
LEAST_SIZE, LARGEST_SIZE = 0.08, 0.80
"""Longer side of an object in shares of the shorter side of the image."""
LEAST_VISIBLE = 0.6
"""Share of a labelled object that shows."""

_LEAST_SIDE_PX = 96
_MAIN_SIZES = (0.3, LARGEST_SIZE)
"""Sizes of the object that gives a classification image its label."""
_OVERHANG = 0.2
"""Share of its side by which an object may reach beyond the border."""
_NUM_TRIES = 8
_ROUNDING_PX = 1.0


class Scene(NamedTuple):
    """One image and what is labelled in it.

    `pixels` uint8 [H, W, 3] RGB, `boxes` float32 [N, 4] xyxy half-open in whole pixels, `labels` int64 [N] from 0.
    """

    pixels: RgbPixels
    boxes: FloatArray
    labels: NDArray[np.int64]


class Composition(NamedTuple):
    """A scene by pixel: `owners` uint8 [H, W] says which object shows, 0 for the background.

    `labels` gives the label of each labelled object by its number, `areas` its pixels if nothing hid or cut it;
    distractors have a number but no label.
    """

    pixels: RgbPixels
    owners: NDArray[np.uint8]
    labels: dict[int, int]
    areas: dict[int, int]


def render_scene(
    seed: int,
    index: int,
    *,
    kind: SceneKind = "detection",
    size_wh: tuple[int, int] = DEFAULT_SIZE_WH,
    num_classes: int = 8,
) -> Scene:
    """Scene number `index` of the endless set that `seed` stands for, the same on every call.

    A classification scene has one to three objects of one class, `index` modulo `num_classes`; a detection scene has
    up to six of any class, at least one in all. Both have distractors, which are not labelled. Raises ValueError for an
    unknown kind, a negative number, a side below 96 pixels or a number of classes that is not 2 to 12.
    """
    scene = compose_scene(seed, index, kind=kind, size_wh=size_wh, num_classes=num_classes)
    boxes = [measure_extent(scene.owners == number) for number in scene.labels]
    labels = np.array(list(scene.labels.values()), np.int64)
    return Scene(scene.pixels, np.array(boxes, np.float32), labels)


def compose_scene(seed: int, index: int, *, kind: SceneKind, size_wh: tuple[int, int], num_classes: int) -> Composition:
    """The scene of `render_scene` with the owner of each pixel; raises ValueError as that does."""
    if kind not in SCENE_KINDS:
        raise ValueError(f"kind must be one of {', '.join(SCENE_KINDS)}, got {kind!r}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative, got {seed} and {index}")
    if min(size_wh) < _LEAST_SIDE_PX:
        raise ValueError(f"size_wh must be at least {_LEAST_SIDE_PX} pixels each way, got {size_wh}")
    rng = np.random.default_rng([SCENE_KINDS.index(kind), seed, index])
    canvas = _Canvas(draw_background(rng, size_wh))
    planned = list(_plan_objects(rng, index, kind, num_classes))
    for place in rng.permutation(len(planned)):
        look, label, size = planned[place]
        patch = draw_patch(rng, look, size * min(size_wh) - _ROUNDING_PX)
        canvas.place(rng, patch, label)
    return Composition(light_scene(rng, canvas.pixels), canvas.owners, canvas.labels, canvas.areas)


def measure_extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The smallest box xyxy half-open round all set pixels of a mask [H, W]; four zeros for none."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return left, top, left + width, top + height


class _PlannedObject(NamedTuple):
    look: Look
    label: int | None
    size: float


def _plan_objects(rng: np.random.Generator, index: int, kind: SceneKind, num_classes: int) -> Iterator[_PlannedObject]:
    """What to draw: the labelled objects, then the distractors."""
    looks, others = list_class_looks(num_classes), list_distractor_looks(num_classes)
    first = index % num_classes
    if kind == "classification":
        yield _PlannedObject(looks[first], first, rng.uniform(*_MAIN_SIZES))
        labels = [first] * int(rng.choice(3, p=(0.6, 0.25, 0.15)))
    else:
        labels = [first, *rng.integers(num_classes, size=rng.integers(0, 6)).tolist()]
    for label in labels:
        yield _PlannedObject(looks[label], label, _draw_size(rng))
    for _ in range(rng.integers(1, 4)):
        yield _PlannedObject(others[rng.integers(len(others))], None, _draw_size(rng))


def _draw_size(rng: np.random.Generator) -> float:
    """A size between the least and the largest, as likely to be doubled as halved."""
    return math.exp(rng.uniform(math.log(LEAST_SIZE + 0.02), math.log(LARGEST_SIZE)))


class _Canvas:
    """A scene while it is drawn, back to front."""

    def __init__(self, background: RgbPixels) -> None:
        self.pixels = background.astype(np.float32)
        self.owners = np.zeros(background.shape[:2], np.uint8)
        self.labels: dict[int, int] = {}
        self.areas: dict[int, int] = {}
        self._num_placed = 0

    def place(self, rng: np.random.Generator, patch: Patch, label: int | None) -> None:
        """Draws an object where the rules for labelled ones hold, or not at all when no such place is found.

        The last place tried lies within the image, so the first labelled object is always drawn.
        """
        number, mask = self._num_placed + 1, patch.mask
        areas = self.areas if label is None else self.areas | {number: int(mask.sum())}
        for overhang in (*[_OVERHANG] * (_NUM_TRIES - 1), 0.0):
            window = self._choose_window(rng, patch.coverage.shape, overhang)
            owners = self.owners.copy()
            owners[window.inside][mask[window.part]] = number
            if all(self._shows_enough(owners == other, area) for other, area in areas.items()):
                break
        else:
            return
        self._paint(patch, window)
        self.owners, self.areas, self._num_placed = owners, areas, number
        if label is not None:
            self.labels[number] = label

    def _choose_window(self, rng: np.random.Generator, shape_hw: tuple[int, ...], overhang: float) -> _Window:
        """A random place for a patch."""
        starts = []
        for axis, length in enumerate(shape_hw):
            side, beyond = int(self.owners.shape[axis]), int(length * overhang)
            starts.append(int(rng.integers(-beyond, side - length + beyond + 1)))
        return _Window.cut(starts, shape_hw, self.owners.shape)

    def _shows_enough(self, mask: NDArray[np.bool_], area: int) -> bool:
        left, top, right, bottom = measure_extent(mask)
        longer = max(right - left, bottom - top)
        return bool(np.count_nonzero(mask) >= LEAST_VISIBLE * area and longer >= LEAST_SIZE * min(mask.shape))

    def _paint(self, patch: Patch, window: _Window) -> None:
        below = self.pixels[window.inside]
        below += (patch.colours[window.part] - below) * patch.coverage[window.part][..., None]


class _Window(NamedTuple):
    """Where a patch lies in the image: the part `inside` of the image, and the `part` of the patch that is there."""

    inside: tuple[slice, ...]
    part: tuple[slice, ...]

    @classmethod
    def cut(cls, starts: list[int], lengths: tuple[int, ...], sides: tuple[int, ...]) -> _Window:
        """The window of a patch that starts at `starts`, by axis."""
        inside, part = [], []
        for start, length, side in zip(starts, lengths, sides, strict=True):
            begin, end = max(start, 0), min(start + length, side)
            inside.append(slice(begin, end))
            part.append(slice(begin - start, end - start))
        return cls(tuple(inside), tuple(part))
