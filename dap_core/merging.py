"""Step 2b, first half: the stored maps of one label become one normalised map (eq. 1).

Two ways: `place_cams` reads every pass at its true place in the image; `stack_cams` lays cell upon cell as the
authors' script does. NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from dap_core.types import Cam, FloatArray

_Geometry: TypeAlias = tuple[tuple[tuple[float, float], tuple[float, float], tuple[int, int]], ...]
_FLAT = 1e-6  # highest minus lowest over their size, below which a map says nothing


class MergedMap(NamedTuple):
    """The map of one label, all passes together, float32 [gh, gw] in [0, 1].

    Cell (i, j) covers pixels `[j, j + 1) * pitch_xy[0]` across and `[i, i + 1) * pitch_xy[1]` down.
    """

    values: FloatArray
    pitch_xy: tuple[float, float]


def place_cams(
    cams: Sequence[Cam], size_wh: tuple[int, int], grid_short_side: int, floor_percentile: float = 0.0
) -> MergedMap | str:
    """The mean of all passes on one grid over the image, brought to [0, 1] (eq. 1); or why there is none.

    Every pass is read at the sample points by bilinear interpolation between the true centres of its cells;
    cells in the padding are never read, beyond the outermost centres the map goes on unchanged. `floor_percentile` is
    that of `normalise_map`. The reasons are `not-finite` and `flat-map`.
    """
    if not np.isfinite([cam.lowest for cam in cams]).all():
        return "not-finite"
    samples_wh = compute_grid_size(size_wh, grid_short_side)
    read_rows, read_columns = _make_readers(_geometry(cams), size_wh, samples_wh)
    by_row = [
        read @ cam.to_map()[: cam.valid_hw[0], : cam.valid_hw[1]] for read, cam in zip(read_rows, cams, strict=True)
    ]
    total = np.concatenate(by_row, axis=1) @ read_columns  # the sum over passes, [gh, gw]
    normalised = normalise_map(total, floor_percentile)
    if normalised is None:
        return "flat-map"
    return MergedMap(normalised, (size_wh[0] / samples_wh[0], size_wh[1] / samples_wh[1]))


def stack_cams(cams: Sequence[Cam], size_wh: tuple[int, int]) -> MergedMap | str:
    """The mean over scales as the authors' script takes it; or why there is none, as in `place_cams`.

    Per scale the passes are averaged cell by cell and brought to [0, 1], cells in the padding included; each scale
    is brought to the grid of the largest one by its nearest cell, and their mean is left as it is, so that its
    highest value may be below 1. Cell (0, 0) is taken to begin at the image's corner, and the pitch of the shorter
    side to hold for both, as the script has it.
    """
    if not np.isfinite([cam.lowest for cam in cams]).all():
        return "not-finite"
    by_scale: dict[int, list[Cam]] = {}
    for cam in cams:
        by_scale.setdefault(cam.short_side, []).append(cam)
    largest = by_scale[max(by_scale)][0]
    total = np.zeros(largest.values.shape, np.float32)
    for passes in by_scale.values():
        normalised = normalise_map(np.sum([cam.to_map() for cam in passes], axis=0))
        if normalised is None:
            return "flat-map"
        total += _read_nearest(normalised, total.shape)
    pitch = largest.pitch_xy[int(size_wh[1] < size_wh[0])]
    return MergedMap(total / np.float32(len(by_scale)), (pitch, pitch))


def sample_map(merged: MergedMap, size_wh: tuple[int, int], samples_wh: tuple[int, int]) -> FloatArray:
    """A merged map read bilinearly at even samples over the image, float32 [samples high, samples wide]."""
    (pitch_x, pitch_y), (rows, columns) = merged.pitch_xy, merged.values.shape
    down = _interpolate(rows, pitch_y / 2, pitch_y, size_wh[1], samples_wh[1])
    across = _interpolate(columns, pitch_x / 2, pitch_x, size_wh[0], samples_wh[0])
    sampled: FloatArray = (down @ merged.values @ across.T).astype(np.float32)
    return sampled


def normalise_map(values: FloatArray, floor_percentile: float = 0.0) -> FloatArray | None:
    """The map brought to [0, 1] (eq. 1), None when it is flat.

    A `floor_percentile` above 0 takes that percentile of the cells for 0 and lifts what lies below, so that a few
    very low cells do not decide where a threshold falls.
    """
    lowest, highest = float(values.min()), float(values.max())
    if highest - lowest <= _FLAT * max(abs(lowest), abs(highest)):
        return None
    if floor_percentile:
        floor = float(np.percentile(values, floor_percentile))
        lowest = floor if floor < highest else lowest
    normalised: FloatArray = (values - np.float32(lowest)) * np.float32(1 / (highest - lowest))
    return np.maximum(normalised, np.float32(0)) if floor_percentile else normalised


def compute_grid_size(size_wh: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Columns and rows of a sample grid: `short_side` along the shorter side, square within rounding."""
    scale = short_side / min(size_wh)
    return round(size_wh[0] * scale), round(size_wh[1] * scale)


def _read_nearest(values: FloatArray, shape_hw: tuple[int, ...]) -> FloatArray:
    """The map on another grid: cell i takes cell floor(i * old / new)."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape_hw, values.shape, strict=True))
    nearest: FloatArray = values[rows[:, None], columns]
    return nearest


def _geometry(cams: Sequence[Cam]) -> _Geometry:
    return tuple((cam.origin_xy, cam.pitch_xy, cam.valid_hw) for cam in cams)


@lru_cache(maxsize=256)
def _make_readers(
    geometry: _Geometry, size_wh: tuple[int, int], samples_wh: tuple[int, int]
) -> tuple[list[FloatArray], FloatArray]:
    """Weights that sum the passes on the sample grid: [gh, rows] per pass, [sum of columns, gw] of all."""
    rows = [_interpolate(valid[0], origin[1], pitch[1], size_wh[1], samples_wh[1]) for origin, pitch, valid in geometry]
    columns = [
        _interpolate(valid[1], origin[0], pitch[0], size_wh[0], samples_wh[0]) for origin, pitch, valid in geometry
    ]
    return rows, np.concatenate([weights.T for weights in columns])


@lru_cache(maxsize=1024)
def _interpolate(num_cells: int, origin: float, pitch: float, extent: int, num_samples: int) -> FloatArray:
    """Linear weights [num_samples, num_cells]: cells at `origin + pitch * i` read at even samples of an extent."""
    centres = (np.arange(num_samples) + 0.5) * (extent / num_samples)
    positions = np.clip((centres - origin) / pitch, 0, num_cells - 1)
    distances = np.abs(positions[:, None] - np.arange(num_cells))
    weights: FloatArray = np.maximum(0, 1 - distances).astype(np.float32)
    return weights
