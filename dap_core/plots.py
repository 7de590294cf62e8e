"""Figures made of results, as PNG or SVG files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dap_core.evaluation import LabelSetStatistics, SweepColumn, Sweeps
from dap_core.evaluation.statistics import Histogram
from dap_core.evaluation.voc_precision import ClassVocPrecision, VocPrecision, sample_precision

MOST_CURVES, _MOST_BARS = 10, 30
_CURVE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
OURS, PAPER, INK, GRID = "#1f6f8b", "#d9822b", "#27313a", "#e3e7ea"
_WIDTH_IN, _HEIGHT_IN = 9.0, 3.2


def plot_sweeps(sweeps: Sweeps, path: Path) -> None:
    """Writes tables A1 and A2 as curves, ours beside the paper's: counts, and mean width and height in pixels."""
    figure = _make_figure(2)
    rows = (
        ("CAM threshold", sweeps.by_threshold),
        ("NMS IoU", sweeps.by_nms_iou),
    )
    for index, (what, columns) in enumerate(rows):
        counts, sizes = figure.axes[2 * index], figure.axes[2 * index + 1]
        names = [column.name for column in columns]
        _draw_pair(counts, names, columns, lambda one: (one.boxes_per_image, one.paper.boxes_per_image), "o-")
        _draw_pair(sizes, names, columns, lambda one: (one.mean_width, one.paper.mean_width), "o-", "width")
        _draw_pair(sizes, names, columns, lambda one: (one.mean_height, one.paper.mean_height), "s--", "height")
        counts.set(title="boxes per image", xlabel=what)
        sizes.set(title="mean box width and height, px", xlabel=what)
        for axes in (counts, sizes):
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def plot_histograms(statistics: LabelSetStatistics, path: Path) -> None:
    """Writes how many boxes images have, how large they are, their aspect and their scores."""
    figure = _make_figure(2)
    _draw_bars(figure.axes[0], _name_counts(statistics.boxes_per_image), statistics.boxes_per_image, "boxes per image")
    _draw_bars(
        figure.axes[1], _name_bins(statistics.relative_size), statistics.relative_size, "sqrt(box area / image area)"
    )
    _draw_bars(figure.axes[2], _name_bins(statistics.aspect), statistics.aspect, "box width / height")
    _draw_bars(figure.axes[3], _name_bins(statistics.scores), statistics.scores, "box score")
    for axes, unit in zip(figure.axes, ("images", "boxes", "boxes", "boxes"), strict=True):
        axes.set_ylabel(unit)
    _save(figure, path)


def draw_precision(voc: VocPrecision, title: str = "") -> bytes:
    """Precision by recall at IoU 0.5 of each class, and AP50 of the classes, best first; PNG bytes.

    Up to 10 classes have a curve each; of more, their mean is drawn with the middle half of the classes around it, both
    of precision made to fall with recall. Of more than 30 classes the bars are those of the best and worst 15.
    """
    known = sorted((one for one in voc.by_class if one.num_truth), key=lambda one: -one.area)
    shown = known if len(known) <= _MOST_BARS else [*known[: _MOST_BARS // 2], *known[-_MOST_BARS // 2 :]]
    chosen = "" if len(shown) == len(known) else f", best and worst {_MOST_BARS // 2} of {len(known)}"
    figure = _make_figure(1)
    figure.set_size_inches(_WIDTH_IN, max(_HEIGHT_IN + 0.4, 0.8 + 0.19 * len(shown)))
    curves, bars = figure.axes
    _draw_curves(curves, known)
    bars.barh(range(len(shown)), [one.area for one in shown], color=OURS, height=0.72)
    bars.set_yticks(range(len(shown)), [_shorten_name(one.name) for one in shown], fontsize=8)
    bars.set(xlim=(0, 1), title=f"AP50 by class{chosen}, mean {voc.area:.3f}")
    bars.invert_yaxis()
    bars.grid(axis="x", color=GRID, linewidth=0.8)
    bars.grid(visible=False, axis="y")
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144)
    return buffer.getvalue()


def _draw_curves(axes: Axes, known: Sequence[ClassVocPrecision]) -> None:
    """Curves of classes, best first; of many, their mean and the half of the classes in the middle."""
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title="at IoU 0.5")
    if len(known) > MOST_CURVES:
        recalls = np.linspace(0, 1, 101)
        sampled = np.array([sample_precision(one.curve, recalls) for one in known])
        low, high = np.quantile(sampled, [0.25, 0.75], axis=0)
        axes.fill_between(recalls, low, high, color=GRID, label="middle half of the classes")
        axes.plot(recalls, sampled.mean(axis=0), color=OURS, linewidth=1.8, label=f"mean of {len(known)} classes")
    else:
        for index, one in enumerate(known):
            colour, style = _CURVE_COLOURS[index % len(_CURVE_COLOURS)], "-" if index < len(_CURVE_COLOURS) else "--"
            label = f"{_shorten_name(one.name)} {one.area:.2f}"
            axes.plot(one.curve.recall, one.curve.precision, style, color=colour, label=label, linewidth=1.4)
    if known:
        axes.legend(frameon=False, fontsize=7.5, loc="lower left")


def _shorten_name(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _make_figure(rows: int) -> Figure:
    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN * rows), layout="constrained")
    for axes in figure.subplots(rows, 2).flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(colors=INK, labelsize=8)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


def _draw_pair(
    axes: Axes,
    names: Sequence[str],
    columns: Sequence[SweepColumn],
    read: Callable[[SweepColumn], tuple[float, float]],
    style: str,
    what: str = "",
) -> None:
    """Draws ours and the paper's values of one quantity; the merged column `multi` stands apart as points."""
    for index, (source, colour) in enumerate((("this set", OURS), ("paper", PAPER))):
        values = [read(column)[index] for column in columns]
        label = f"{what}, {source}" if what else source
        joined = [position for position, name in enumerate(names) if name != "multi"]
        axes.plot(joined, [values[position] for position in joined], style, color=colour, label=label, markersize=4.5)
        for position in set(range(len(names))) - set(joined):
            axes.plot(position, values[position], style[0], color=colour, markersize=6)
    axes.set_xticks(range(len(names)), names)


def _draw_bars(axes: Axes, names: Sequence[str], histogram: Histogram, title: str) -> None:
    """Bars with their names below, or between edges where there is one name more than bars."""
    num_bars = len(histogram.counts)
    between = len(names) > num_bars
    places = [place + 0.5 * between for place in range(num_bars)]
    axes.bar(places, histogram.counts, color=OURS, width=0.88)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_title(title, fontsize=10, color=INK)


def _name_counts(histogram: Histogram) -> list[str]:
    names = [f"{edge:.0f}" for edge in histogram.edges[:-1]]
    return [*names[:-1], f"{names[-1]}+"]


def _name_bins(histogram: Histogram) -> list[str]:
    """The edges of all bins."""
    return ["more" if edge == float("inf") else f"{edge:g}" for edge in histogram.edges]


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=144, metadata={"Date": None} if path.suffix == ".svg" else None)
