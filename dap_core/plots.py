"""Figures made of results, as PNG or SVG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dap_core.evaluation import LabelSetStatistics, SweepColumn, Sweeps
from dap_core.evaluation.statistics import Histogram

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
    """Writes how many boxes images have, how large they are, and their aspect."""
    figure = _make_figure(1, columns=3)
    _draw_bars(figure.axes[0], _name_counts(statistics.boxes_per_image), statistics.boxes_per_image, "boxes per image")
    _draw_bars(
        figure.axes[1], _name_bins(statistics.relative_size), statistics.relative_size, "sqrt(box area / image area)"
    )
    _draw_bars(figure.axes[2], _name_bins(statistics.aspect), statistics.aspect, "box width / height")
    for axes, unit in zip(figure.axes, ("images", "boxes", "boxes"), strict=True):
        axes.set_ylabel(unit)
    _save(figure, path)


def _make_figure(rows: int, columns: int = 2) -> Figure:
    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN * rows), layout="constrained")
    for axes in figure.subplots(rows, columns).flat:
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
