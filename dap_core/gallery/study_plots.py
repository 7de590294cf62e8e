"""Plots of a study as SVG: figure by shots, figure by steps, and differences with their intervals.

Each is a small panel that stays readable on a phone; the page says what a panel is about.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from dap_core.evaluation.paired import PairedDifference
from dap_core.evaluation.study_findings import judge_difference, name_setting, name_shots
from dap_core.evaluation.study_scores import (
    FIGURES,
    ArmComparison,
    ArmResult,
    CurvePoint,
    Figure,
    Part,
    Score,
    Setting,
    trace_curve,
)
from dap_core.gallery.frame import COLOURS

_ORDER = (0, 3, 1, 4, 2, 5)  # neighbours far apart in hue and in lightness
_MARKERS = "os^Dvp"
_DASHES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")
_WIDTH_IN, _HEIGHT_IN = 4.6, 3.1
_MOST_NAME = 40
_PARTS: tuple[Part, ...] = ("test", "validation")
_INK, _GRID, _GROUND = "#1d1e20", "#dededb", "#fffffe"  # the last stands for the page, which shows through
_DARK = {_INK: "#e8e8e6", _GRID: "#3b3f45", _GROUND: "#1c1e21", COLOURS[0]: "#3a9ad9"}


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot, an SVG file, and what it is about: a data set or a setting."""

    name: str
    svg: bytes

    def darken(self) -> bytes:
        """The same plot for a dark page."""
        svg = self.svg
        for light, dark in _DARK.items():
            svg = svg.replace(light.encode(), dark.encode())
        return svg


def draw_shots(results: Mapping[tuple[Setting, str], ArmResult], arms: Sequence[str], figure: Figure) -> list[Panel]:
    """The figure by shots for each data set that was measured with several numbers of them.

    For each arm the mean, lowest to highest as a band, and single seeds as dots.
    """
    by_data: dict[str, set[int | None]] = {}
    for setting, _ in results:
        by_data.setdefault(setting.data, set()).add(setting.shots)
    panels = []
    for data, shots in by_data.items():
        if len(shots) > 1:
            ranked = sorted(shots, key=lambda one: math.inf if one is None else one)
            panels.append(Panel(data, _draw_shots_of(data, ranked, results, arms, figure)))
    return panels


def draw_learning_curves(
    scores: Sequence[Score],
    results: Mapping[tuple[Setting, str], ArmResult],
    arms: Sequence[str],
    figure: Figure,
) -> list[Panel]:
    """The figure by steps of fine-tuning for each setting in which an arm was measured after several numbers of them.

    On the part that was measured more often, the test part if in doubt. For each arm the mean, lowest to highest over
    seeds as a band, and a ring at the chosen number of steps.
    """
    panels = []
    for setting in dict.fromkeys(Setting(score.data, score.shots) for score in scores):
        traced = [(part, {arm: trace_curve(scores, setting, arm, part, figure) for arm in arms}) for part in _PARTS]
        part, curves = max(traced, key=lambda one: sum(map(len, one[1].values())))
        if any(len(curve) > 1 for curve in curves.values()):
            chosen = [results[setting, arm].num_steps if (setting, arm) in results else None for arm in arms]
            svg = _draw_curves_of(curves, chosen, figure, f"steps of fine-tuning, {part} part")
            panels.append(Panel(name_setting(setting), svg))
    return panels


def draw_differences(comparisons: Sequence[ArmComparison], arms: Sequence[str], figure: Figure) -> list[Panel]:
    """Differences to the baseline in points with their intervals, a panel for each data set, all to one scale.

    A filled dot is a difference that was shown, an empty one is not; a dot without whiskers has no interval.
    """
    edges = [0.0, *(100 * edge for one in comparisons for edge in _list_edges(one.difference))]
    margin = 0.06 * (max(edges) - min(edges)) or 1.0
    panels = []
    for data in dict.fromkeys(one.arm.setting.data for one in comparisons):
        own = [one for one in comparisons if one.arm.setting.data == data]
        drawing, axes = _make_panel(height_in=0.75 + 0.52 * len(own))
        axes.axvline(0, color=_INK, linewidth=1.1, zorder=1)
        for row, one in enumerate(own):
            _draw_difference(axes, row, one, arms)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color=_GRID, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(min(edges) - margin, max(edges) + margin), ylim=(len(own) - 0.6, -0.75), yticks=[])
        axes.set_xlabel(f"difference in points of {FIGURES[figure]}")
        panels.append(Panel(data, _save(drawing)))
    return panels


def _draw_shots_of(
    data: str,
    shots: Sequence[int | None],
    results: Mapping[tuple[Setting, str], ArmResult],
    arms: Sequence[str],
    figure: Figure,
) -> bytes:
    drawing, axes = _make_panel()
    for index, arm in enumerate(arms):
        curve = []
        for place, one in enumerate(shots):
            result = results.get((Setting(data, one), arm))
            if result is not None:
                values = list(result.by_seed.values())
                curve.append(CurvePoint(place, result.mean, min(values), max(values)))
                axes.plot([place] * len(values), [100 * value for value in values], ".", color=_pick(index), alpha=0.6)
        _draw_line(axes, curve, arm, index)
    axes.set_xticks(range(len(shots)), ["all" if one is None else str(one) for one in shots])
    axes.set(xlabel="images per class", ylabel=FIGURES[figure])
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)
    return _save(drawing)


def _draw_curves_of(
    curves: Mapping[str, Sequence[CurvePoint]], chosen: Sequence[int | None], figure: Figure, what: str
) -> bytes:
    drawing, axes = _make_panel()
    for index, (arm, curve) in enumerate(curves.items()):
        if not curve:
            continue
        _draw_line(axes, curve, arm, index)
        for point in curve:
            if point.num_steps == chosen[index]:
                place = point.num_steps, 100 * point.mean
                axes.plot(*place, "o", markersize=12, color=_pick(index), markerfacecolor="none", markeredgewidth=1.4)
    axes.set(xlabel=what, ylabel=FIGURES[figure])
    _space_steps(axes, sorted({point.num_steps for curve in curves.values() for point in curve}))
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)
    return _save(drawing)


def _draw_line(axes: Axes, curve: Sequence[CurvePoint], arm: str, index: int) -> None:
    colour, places = _pick(index), [point.num_steps for point in curve]
    low, high = [100 * point.lowest for point in curve], [100 * point.highest for point in curve]
    axes.fill_between(places, low, high, color=colour, alpha=0.16, linewidth=0)
    (line,) = axes.plot(places, [100 * point.mean for point in curve], color=colour, label=_shorten(arm))
    line.set(linewidth=1.8, markersize=5, marker=_MARKERS[index % len(_MARKERS)])
    line.set_linestyle(_DASHES[index % len(_DASHES)])


def _draw_difference(axes: Axes, row: int, one: ArmComparison, arms: Sequence[str]) -> None:
    colour = _pick(list(arms).index(one.arm.arm)) if one.arm.arm in arms else _INK
    edges = [100 * edge for edge in _list_edges(one.difference)]
    axes.plot([min(edges), max(edges)], [row, row], color=colour, linewidth=2.2, zorder=2)
    (dot,) = axes.plot(100 * one.difference.mean, row, "o", color=colour, markersize=8, markeredgewidth=1.8, zorder=3)
    if judge_difference(one.difference) not in ("ahead", "behind"):
        dot.set_markerfacecolor(_GROUND)
    name = _shorten(f"{name_shots(one.arm.setting)}: {one.arm.arm} \u2212 {one.baseline.arm}")
    text = axes.text(0, row - 0.26, name, transform=axes.get_yaxis_transform(), color=_INK, fontsize=9, va="bottom")
    text.set_bbox({"facecolor": _GROUND, "edgecolor": "none", "pad": 1.5})


def _list_edges(difference: PairedDifference) -> list[float]:
    return [edge for edge in (difference.low, difference.mean, difference.high) if edge is not None]


def _space_steps(axes: Axes, ticks: Sequence[int]) -> None:
    """Ticks where it was measured, on a scale of powers where the steps spread far."""
    if ticks[0] > 0 and ticks[-1] >= 8 * ticks[0]:
        axes.set_xscale("log", base=2)
    elif len(ticks) > 2 and ticks[0] == 0 and ticks[-1] >= 8 * ticks[1]:
        axes.set_xscale("symlog", base=2, linthresh=ticks[1])
    axes.set_xticks(ticks, [f"{one:,}" for one in ticks], rotation=45 if len(ticks) > 6 else 0)
    axes.minorticks_off()


def _pick(index: int) -> str:
    return COLOURS[_ORDER[index % len(_ORDER)]]


def _shorten(name: str) -> str:
    short = name if len(name) <= _MOST_NAME else f"{name[: _MOST_NAME - 1]}…"
    printable = "".join(one if one.isprintable() else "\ufffd" for one in short)
    return printable.replace("$", r"\$").lstrip("_")  # neither mathematics nor a label that is left out of the legend


def _make_panel(*, height_in: float = _HEIGHT_IN) -> tuple[Drawing, Axes]:
    drawing = Drawing(figsize=(_WIDTH_IN, height_in), layout="constrained")
    axes = drawing.subplots()
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=_INK, fontsize=9.5)
    return drawing, axes


def _save(drawing: Drawing) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "dap"}):  # the same file for the same numbers
        drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()
