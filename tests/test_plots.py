"""Figures: the files are there, and the axes hold the numbers of the results."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from dap_core import plots
from dap_core.evaluation import compute_statistics, compute_sweeps
from dap_core.label_sets import LabelSet
from tests.label_set_builders import make_block_cam, make_label_set, make_row


@pytest.fixture
def label_set(tmp_path: Path) -> LabelSet:
    return make_label_set(tmp_path / "labels", [make_row("a", [make_block_cam((10, 10, 19, 15))])])


def keep_figure(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collects figures as they are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_sweeps_are_drawn_beside_the_papers(
    label_set: LabelSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = keep_figure(monkeypatch)
    sweeps = compute_sweeps(label_set)
    plots.plot_sweeps(sweeps, tmp_path / "figures" / "sweeps.png")
    counts = figures[0].axes[2]
    ours, paper = (line.get_ydata() for line in counts.get_lines())
    assert list(ours) == [column.boxes_per_image for column in sweeps.by_nms_iou]
    assert list(paper) == [column.paper.boxes_per_image for column in sweeps.by_nms_iou]
    assert [text.get_text() for text in counts.get_legend().get_texts()] == ["this set", "paper"]
    with Image.open(tmp_path / "figures" / "sweeps.png") as image:
        assert image.size[0] > 1000


def test_histograms_draw_every_bin(label_set: LabelSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = keep_figure(monkeypatch)
    statistics = compute_statistics(label_set)
    plots.plot_histograms(statistics, tmp_path / "histograms.png")
    drawn = (statistics.boxes_per_image, statistics.relative_size, statistics.aspect, statistics.scores)
    for axes, histogram in zip(figures[0].axes, drawn, strict=True):
        assert [int(bar.get_height()) for bar in axes.patches] == list(histogram.counts)
    names = [label.get_text() for label in figures[0].axes[0].get_xticklabels()]
    assert names == ["0", "1", "2", "3", "4", "5", "6", "7", "8+"]


def test_a_figure_is_the_same_each_time(label_set: LabelSet, tmp_path: Path) -> None:
    statistics = compute_statistics(label_set)
    for name in ("one.png", "two.png"):
        plots.plot_histograms(statistics, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
