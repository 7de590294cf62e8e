"""A page about a study: what was asked, what was found, and all the numbers it rests on."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dap_core.evaluation.paper_results import PaperResult
from dap_core.evaluation.study_scores import FIGURES, ArmComparison, ArmResult, Figure, Score, Setting
from dap_core.gallery.frame import fill_template, list_failures
from dap_core.gallery.pictures import compute_picture_bytes
from dap_core.gallery.study_examples import LEGEND, Example, ExampleBox, make_example_card
from dap_core.gallery.study_plots import (
    Panel,
    draw_differences,
    draw_learning_curves,
    draw_shots,
)
from dap_core.gallery.study_tables import (
    list_pairs,
    list_paper_rows,
    list_result_rows,
    make_seed_table,
    make_step_table,
)

__all__ = ["Cost", "Example", "ExampleBox", "LabelSetFacts", "StudyPage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSetFacts:
    """Of the pseudo boxes that an arm was pre-trained on; width and height in pixels of the images."""

    name: str
    images: int
    boxes: int
    boxes_per_image: float
    mean_width: float
    mean_height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a step of the study took, all its runs together."""

    what: str
    seconds: float
    images: int | None
    """Read in all, repeats counted; None where images are not what it works on."""
    count: int
    """Runs."""


@dataclass(frozen=True, slots=True)
class _Plot:
    """A panel in both colour schemes, as `data:` addresses."""

    name: str
    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class _PlotGroup:
    title: str
    explanation: str
    plots: tuple[_Plot, ...]


@dataclass(frozen=True, kw_only=True)
class StudyPage:
    """What a page is made of; a section without data is left out."""

    title: str
    question: str
    source: str
    """Which part of the paper asks the same, such as `figures 3 and 4 of the paper`."""
    figure: Figure
    scores: Sequence[Score]
    results: Mapping[tuple[Setting, str], ArmResult]
    comparisons: Sequence[ArmComparison]
    arms: Sequence[str]
    """In the order of columns and colours."""
    baselines: Mapping[str, str]
    """The arm that an arm is held against."""
    findings: Sequence[str]
    paper: Sequence[PaperResult]
    label_sets: Sequence[LabelSetFacts]
    examples: Sequence[Example]
    costs: Sequence[Cost]
    settings: Sequence[tuple[str, str]]
    leaks: Sequence[str]
    """Images that are not measured on, as they also occur in training, in sentences."""
    caveats: Sequence[str]

    def render(self) -> str:
        """One HTML file that opens without a server or a network; pictures get smaller when there are many."""
        pairs = list_pairs(self.arms, self.baselines, self.comparisons)
        picture_bytes = compute_picture_bytes(len(self.examples))
        return fill_template(
            "study.html",
            name=self.title,
            subtitle=self.question,
            facts=self._list_facts(),
            num_incomplete=0,
            failures=list_failures(()),
            legend_title="Boxes",
            legend=LEGEND if self.examples else (),
            findings=self.findings,
            leaks=self.leaks,
            caveats=self.caveats,
            figure=FIGURES[self.figure],
            arms=self.arms,
            pairs=pairs,
            result_rows=list_result_rows(self.results, self.comparisons, self.arms, pairs),
            paper_rows=list_paper_rows(self.paper, self.arms, pairs),
            confidence=next((f"{one.difference.confidence:.0%}" for one in self.comparisons), ""),
            plot_groups=self._draw_plots(),
            cards=[make_example_card(example, self.arms, picture_bytes) for example in self.examples],
            label_sets=self.label_sets,
            costs=[(cost, show_seconds(cost.seconds)) for cost in self.costs],
            settings=self.settings,
            seed_table=make_seed_table(self.results),
            step_table=make_step_table(self.scores, self.results, self.figure),
        )

    def _list_facts(self) -> list[tuple[str, str]]:
        seeds = sorted({seed for one in self.results.values() for seed in one.by_seed})
        images = {score.data: score.num_images for score in self.scores if score.part == "test"}
        facts = [
            ("After", self.source),
            ("Figure", f"{FIGURES[self.figure]}, in percent"),
            ("Seeds", f"{len(seeds)}" if seeds else ""),
            ("Test images", ", ".join(f"{number:,} of {data}" for data, number in images.items())),
        ]
        return [(name, value) for name, value in facts if value]

    def _draw_plots(self) -> list[_PlotGroup]:
        groups = [
            _PlotGroup(
                "By images per class",
                "Line: mean over seeds. Dots: single seeds. Band: lowest to highest.",
                _embed(draw_shots(self.results, self.arms, self.figure)),
            ),
            _PlotGroup(
                "Learning curves",
                "Line: mean over seeds. Band: lowest to highest. Ring: the number of steps that was chosen.",
                _embed(draw_learning_curves(self.scores, self.results, self.arms, self.figure)),
            ),
            _PlotGroup(
                "Differences",
                "Dot: mean difference, filled where it was shown. Whiskers: the interval.",
                _embed(draw_differences(self.comparisons, self.arms, self.figure)),
            ),
        ]
        return [group for group in groups if group.plots]


def show_seconds(seconds: float) -> str:
    """A time in words, to two units.

    >>> show_seconds(0.24), show_seconds(75), show_seconds(7260)
    ('0.24 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 59.5:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def _embed(panels: Sequence[Panel]) -> tuple[_Plot, ...]:
    return tuple(_Plot(one.name, _make_address(one.svg), _make_address(one.darken())) for one in panels)


def _make_address(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
