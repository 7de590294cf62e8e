"""Class activation maps: decoding the passes that were sent, and one map to look at. Plain Python."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Rows: TypeAlias = tuple[tuple[float, ...], ...]
_STEPS = 65535
_FLAT = 1e-6  # highest minus lowest over their size, below which a map says nothing


@dataclass(frozen=True, slots=True)
class Cam:
    """The class activation map of one forward pass and one label; `rows` are its values, not normalised.

    Cell (0, 0) is centred on `origin_xy` in pixels of the upright image, neighbours are `pitch_xy` apart; cells beyond
    `valid_hw` are centred on padding. A map that was not finite is all NaN.
    """

    label: int
    short_side: int
    mirrored: bool
    origin_xy: tuple[float, float]
    pitch_xy: tuple[float, float]
    valid_hw: tuple[int, int]
    rows: Rows = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The map of one label in [0, 1] over the whole upright image; `numpy.array(heat_map.rows)` for arithmetic.

    Cell (i, j) covers pixels `[j, j + 1) * pitch_xy[0]` across and `[i, i + 1) * pitch_xy[1]` down.
    """

    label: int
    pitch_xy: tuple[float, float]
    rows: Rows = field(repr=False)


class _Reading(NamedTuple):
    """Where a sample lies between two cells: their indices, and the share of the second."""

    first: int
    second: int
    share: float


def read_cam(values: Mapping[str, Any]) -> Cam:
    """The map of its JSON object. Raises ValueError when it holds another number of values than cells."""
    height, width = int(values["height"]), int(values["width"])
    codes = array("H", base64.b64decode(values["values"], validate=True))
    if sys.byteorder == "big":
        codes.byteswap()
    if len(codes) != height * width or min(height, width) < 1:
        raise ValueError(f"a map of {height} x {width} cells has {len(codes)} values")
    lowest, highest = (math.nan if values[name] is None else float(values[name]) for name in ("lowest", "highest"))
    step = (highest - lowest) / _STEPS
    cells = [lowest + code * step for code in codes]
    rows, columns = values["valid_hw"]
    return Cam(
        label=int(values["label"]),
        short_side=int(values["short_side"]),
        mirrored=bool(values["mirrored"]),
        origin_xy=_read_pair(values["origin_xy"]),
        pitch_xy=_read_pair(values["pitch_xy"]),
        valid_hw=(int(rows), int(columns)),
        rows=tuple(tuple(cells[start : start + width]) for start in range(0, len(cells), width)),
    )


def merge_cams(cams: Sequence[Cam], size_wh: tuple[int, int]) -> HeatMap:
    """The mean of the passes of one label, brought to [0, 1], on a grid as fine as the finest pass.

    Every pass is read at the centres of the grid by bilinear interpolation between its own cells; beyond the outermost
    centres it goes on unchanged, and padding is never read. All 0 when a pass is not finite or the mean is flat. Good
    to look at; boxes are cut from maps on a finer grid, and by the rules of the recipe.
    """
    num_rows, num_columns = max((cam.valid_hw for cam in cams), key=lambda hw: hw[0] * hw[1])
    pitch_xy = (size_wh[0] / num_columns, size_wh[1] / num_rows)
    totals = [[0.0] * num_columns for _ in range(num_rows)]
    for cam in cams:
        across = _place_samples(num_columns, pitch_xy[0], cam.origin_xy[0], cam.pitch_xy[0], cam.valid_hw[1])
        down = _place_samples(num_rows, pitch_xy[1], cam.origin_xy[1], cam.pitch_xy[1], cam.valid_hw[0])
        for total, row in zip(totals, down, strict=True):
            pair = zip(cam.rows[row.first], cam.rows[row.second], strict=True)
            line = [_mix(upper, lower, row.share) for upper, lower in pair]
            for column, at in enumerate(across):
                total[column] += _mix(line[at.first], line[at.second], at.share)
    return HeatMap(cams[0].label, pitch_xy, _normalise(totals))


def _place_samples(count: int, spacing: float, origin: float, pitch: float, num_cells: int) -> list[_Reading]:
    """Where `count` samples, `spacing` apart from the edge of the image, lie between cells."""
    readings = []
    for index in range(count):
        position = min(max(((index + 0.5) * spacing - origin) / pitch, 0.0), num_cells - 1.0)
        first = int(position)
        readings.append(_Reading(first, min(first + 1, num_cells - 1), position - first))
    return readings


def _mix(first: float, second: float, share: float) -> float:
    return first + (second - first) * share


def _normalise(rows: list[list[float]]) -> Rows:
    lowest, highest = min(map(min, rows)), max(map(max, rows))
    flat = not highest - lowest > _FLAT * max(abs(lowest), abs(highest))  # also when they are NaN
    if flat or not all(math.isfinite(value) for row in rows for value in row):
        return tuple((0.0,) * len(row) for row in rows)
    return tuple(tuple((value - lowest) / (highest - lowest) for value in row) for row in rows)


def _read_pair(pair: Sequence[Any]) -> tuple[float, float]:
    first, second = pair
    return float(first), float(second)
