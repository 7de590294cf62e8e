"""Scores and pages of invented studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dap_core.evaluation.study_findings import describe_findings
from dap_core.evaluation.study_scores import (
    ArmComparison,
    Figure,
    Part,
    Score,
    choose_num_steps,
    collect_results,
    compare_arms,
)
from dap_core.gallery.study_pages import StudyPage


def make_score(value: float | None = 0.5, **changes: Any) -> Score:
    """A score of seed 0 of CLS on the test part, whose five figures of detection are all `value`."""
    score = Score(
        data="VOC07",
        arm="CLS",
        shots=5,
        seed=0,
        num_steps=100,
        part="test",
        ap=value,
        ap50=value,
        ap75=value,
        voc_ap50_area=value,
        voc_ap50_11_points=value,
        num_images=40,
        num_boxes=90,
        num_train=100,
        checkpoint_sha256="ab" * 32,
    )
    return replace(score, **changes)


def make_scores(arms: Mapping[str, Sequence[float]], **changes: Any) -> list[Score]:
    """Both parts of each arm after 100 steps at half of its values, one for each seed, and after 400 at all of them."""
    parts: tuple[Part, ...] = ("validation", "test")
    return [
        make_score(value * share, arm=arm, seed=seed, num_steps=steps, part=part, **changes)
        for arm, values in arms.items()
        for seed, value in enumerate(values)
        for steps, share in ((100, 0.5), (400, 1.0))
        for part in parts
    ]


BASELINES = {"DAP": "CLS"}


def compare_scores(
    scores: Sequence[Score], figure: Figure = "ap", baselines: Mapping[str, str] = BASELINES
) -> list[ArmComparison]:
    """Arms held against their baselines after the numbers of steps that the scores choose."""
    return compare_arms(collect_results(scores, figure, choose_num_steps(scores, figure)), dict(baselines))


def make_study_page(
    scores: Sequence[Score],
    arms: Sequence[str] = ("CLS", "DAP"),
    baselines: Mapping[str, str] = BASELINES,
    **changes: Any,
) -> StudyPage:
    """The page of scores, with nothing else on it."""
    comparisons = compare_scores(scores, baselines=baselines)
    page = StudyPage(
        title="Few images",
        question="Does pre-training on pseudo boxes help?",
        source="figure 4 of the paper",
        figure="ap",
        scores=scores,
        results=collect_results(scores, "ap", choose_num_steps(scores, "ap")),
        comparisons=comparisons,
        arms=arms,
        baselines=baselines,
        findings=describe_findings(comparisons, "ap"),
        paper=(),
        label_sets=(),
        examples=(),
        costs=(),
        settings=(),
        leaks=(),
        caveats=(),
    )
    return replace(page, **changes)
