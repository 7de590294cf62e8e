"""Which forward passes an image gets, and where the cells of each lie in the image. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dap_core.types import Cam, FeatureGrid

CANVAS_MULTIPLE = 32
"""Canvas sides are multiples of this (and of the network's stride), as in the authors' script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CamConfig:
    """The forward passes of one image. Raises ValueError on an empty, repeated or tiny short side."""

    short_sides: tuple[int, ...] = (288, 576)
    """Short side in pixels of each scale (section 4.1)."""
    mirror: bool = True
    """Whether each scale is also run left-right mirrored (section 4.1)."""

    def __post_init__(self) -> None:
        if not self.short_sides or len(set(self.short_sides)) < len(self.short_sides):
            raise ValueError(f"scales must be one or more different short sides, got {list(self.short_sides)}")
        if min(self.short_sides) < CANVAS_MULTIPLE or max(self.short_sides) > 4096:
            raise ValueError(
                f"scales must be short sides of {CANVAS_MULTIPLE} to 4096 px, got {list(self.short_sides)}"
            )


class CellPlacement(NamedTuple):
    """Where the cells of one pass lie, in pixels of the upright image, and how many are centred inside it."""

    origin_xy: tuple[float, float]
    pitch_xy: tuple[float, float]
    valid_hw: tuple[int, int]


def compute_resized_size(size_wh: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Width and height with the shorter side `short_side` and the aspect ratio kept, the longer one rounded."""
    width, height = size_wh
    scale = short_side / min(width, height)
    return round(width * scale), round(height * scale)


def place_cells(
    grid: FeatureGrid,
    size_wh: tuple[int, int],
    resized_wh: tuple[int, int],
    canvas_width: int,
    cells_hw: Sequence[int],
    mirrored: bool,
) -> CellPlacement:
    """Origin and pitch in pixels of the upright image, and the rows and columns centred inside it.

    A canvas pixel i covers [i, i + 1), so a cell centred on it lies at i + 0.5. In a mirrored pass the last
    cell of the flipped canvas becomes the first.
    """
    origin_x, origin_y = grid.origin_xy
    if mirrored:
        origin_x = canvas_width - 1 - (origin_x + grid.stride * (cells_hw[1] - 1))
    zoom_xy = (size_wh[0] / resized_wh[0], size_wh[1] / resized_wh[1])
    origin_xy = ((origin_x + 0.5) * zoom_xy[0], (origin_y + 0.5) * zoom_xy[1])
    pitch_xy = (grid.stride * zoom_xy[0], grid.stride * zoom_xy[1])
    columns = _count_inside(origin_x + 0.5, grid.stride, resized_wh[0], cells_hw[1])
    rows = _count_inside(origin_y + 0.5, grid.stride, resized_wh[1], cells_hw[0])
    return CellPlacement(origin_xy, pitch_xy, (rows, columns))


def _count_inside(origin: float, stride: int, extent: int, num_cells: int) -> int:
    return min(num_cells, max(1, math.ceil((extent - origin) / stride)))


def select_passes(cams: Sequence[Cam], config: CamConfig) -> list[Cam]:
    """The maps among `cams` that come from the passes of `config`, in their order."""
    return [cam for cam in cams if cam.short_side in config.short_sides and (config.mirror or not cam.mirrored)]
