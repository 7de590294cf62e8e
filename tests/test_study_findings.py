"""Findings: what is said is what the intervals bear, no more."""

from __future__ import annotations

import pytest

from dap_core.evaluation.study_findings import describe_findings, format_points, has_interval, judge_difference
from dap_core.evaluation.study_scores import Score
from tests.study_builders import compare_scores, make_score, make_scores

AHEAD = {"CLS": [0.10, 0.12, 0.11], "DAP": [0.30, 0.33, 0.30]}
LEVEL = {"CLS": [0.10, 0.12, 0.11], "DAP": [0.14, 0.10, 0.12]}


def describe(arms: dict[str, list[float]]) -> str:
    """The one sentence of two arms in one setting."""
    [sentence] = describe_findings(compare_scores(make_scores(arms)), "ap")
    return sentence


def test_ahead() -> None:
    """Differences 20, 21, 19: mean 20, and 4.3027 / sqrt(3) = 2.48 on either side."""
    assert describe(AHEAD) == (
        "VOC07, 5 images per class: DAP is ahead of CLS by 20.0 points of AP "
        "(95% interval of the paired difference +17.5 to +22.5, 3 seeds)."
    )


def test_behind_is_said_as_plainly() -> None:
    assert describe({"CLS": AHEAD["DAP"], "DAP": AHEAD["CLS"]}) == (
        "VOC07, 5 images per class: DAP is behind CLS by 20.0 points of AP "
        "(95% interval of the paired difference \u221222.5 to \u221217.5, 3 seeds)."
    )


def test_an_interval_that_holds_zero_shows_no_difference() -> None:
    """Differences 4, -2, 1: mean 1, deviation 3, and 4.3027 * sqrt(3) = 7.45 on either side."""
    assert describe(LEVEL) == (
        "VOC07, 5 images per class: no difference between DAP and CLS was shown; DAP is 1.0 points of AP higher than "
        "CLS, and zero lies within the interval (95% interval of the paired difference \u22126.5 to +8.5, "
        "14.9 points wide, 3 seeds)."
    )


def test_one_seed_claims_nothing() -> None:
    sentence = describe({"CLS": [0.3], "DAP": [0.2]})
    assert sentence == (
        "VOC07, 5 images per class: DAP is 10.0 points of AP lower than CLS; one seed says nothing of chance."
    )


def test_seeds_that_all_differ_by_the_same_claim_nothing() -> None:
    arms = {"CLS": [0.25, 0.5], "DAP": [0.5, 0.75]}
    assert "with each of 2 seeds alike, so their spread says nothing of chance" in describe(arms)
    [comparison] = compare_scores(make_scores(arms))
    assert comparison.difference.is_positive
    assert not has_interval(comparison.difference)
    assert judge_difference(comparison.difference) == "no spread"


def test_no_words_of_praise() -> None:
    text = " ".join(describe(arms) for arms in (AHEAD, LEVEL)).lower()
    for word in ("significant", "outperform", "superior", "clearly", "impressive", "better", "best"):
        assert word not in text


def test_of_many_intervals_some_miss_by_chance() -> None:
    scores = [score for shots in (5, 10, None) for score in make_scores(AHEAD, shots=shots)]
    *sentences, last = describe_findings(compare_scores(scores), "ap")
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "VOC07, 5 images per class",
        "VOC07, 10 images per class",
        "VOC07, all images",
    ]
    assert last == (
        "Each of the 3 intervals holds the true difference with 95% confidence; "
        "of so many, 0.2 would miss it by chance on average."
    )


def make_curves(cls: dict[int, float], dap: dict[int, float], part: str = "test") -> list[Score]:
    """One seed of each arm, measured after several numbers of steps."""
    arms = {"CLS": cls, "DAP": dap}
    return [
        make_score(value, arm=arm, num_steps=steps, part=part)
        for arm, curve in arms.items()
        for steps, value in curve.items()
    ]


@pytest.mark.parametrize(
    ("cls", "dap", "said"),
    [
        pytest.param(
            {100: 0.1, 1600: 0.5},
            {100: 0.3, 200: 0.5, 1600: 0.6},
            "after 200 steps DAP is where CLS ends (50.0 AP after 1,600 steps); measured at 100, 200, 1,600.",
            id="the first time at it or above",
        ),
        pytest.param(
            {100: 0.1, 400: 0.6, 1600: 0.5},
            {0: 0.5, 1: 0.6},
            "after 0 steps DAP is where CLS ends (50.0 AP after 1,600 steps); CLS first is there after 400 steps; "
            "measured at 0, 1.",
            id="a baseline that falls at the end was there before",
        ),
        pytest.param(
            {100: 0.1, 1600: 0.5},
            {100: 0.3, 400: 0.49},
            "DAP does not get where CLS ends (50.0 AP after 1,600 steps) within 400 steps.",
            id="never",
        ),
    ],
)
def test_how_soon_an_arm_is_where_its_baseline_ends(cls: dict[int, float], dap: dict[int, float], said: str) -> None:
    comparisons = compare_scores(make_scores({"CLS": [0.1], "DAP": [0.2]}))
    for part in ("test", "validation"):
        sentences = describe_findings(comparisons, "ap", make_curves(cls, dap, part))
        assert sentences[1:] == [f"VOC07, 5 images per class, {part} part: {said}"]


def test_what_was_measured_once_has_no_curve() -> None:
    comparisons = compare_scores(make_scores({"CLS": [0.1], "DAP": [0.2]}))
    assert len(describe_findings(comparisons, "ap", make_curves({100: 0.1, 200: 0.2}, {100: 0.1}))) == 1
    assert len(describe_findings(comparisons, "ap")) == 1
    assert describe_findings([], "ap") == []


@pytest.mark.parametrize(
    ("share", "unsigned", "signed"),
    [
        (0.1234, "12.3", "+12.3"),
        (-0.05, "\u22125.0", "\u22125.0"),
        (0.0, "0.0", "0.0"),
        (-0.0004, "0.0", "0.0"),
        (1.0, "100.0", "+100.0"),
    ],
)
def test_points(share: float, unsigned: str, signed: str) -> None:
    assert (format_points(share), format_points(share, signed=True)) == (unsigned, signed)
