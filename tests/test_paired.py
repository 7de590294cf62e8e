"""Paired differences: SciPy is the oracle for the interval, and chance is never claimed where nothing says of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dap_core.evaluation.paired import compare_pairs

SHARES = st.floats(0, 1, allow_nan=False)


def test_a_hand_computed_interval() -> None:
    """Differences 1, 2, 3: mean 2, deviation 1, Student's t of two degrees 4.30265 by the square root of three."""
    found = compare_pairs([(2, 1), (4, 2), (6, 3)])
    assert found.mean == 2
    assert found.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)
    assert (found.num_pairs, found.confidence) == (3, 0.95)


@given(st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=8), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_is_scipys(pairs: list[tuple[float, float]], confidence: float) -> None:
    found = compare_pairs(pairs, confidence=confidence)
    differences = [first - second for first, second in pairs]
    if max(differences) - min(differences) < 1e-6:
        return  # SciPy divides by the deviation
    oracle = stats.ttest_1samp(differences, 0).confidence_interval(confidence)
    assert found.low == pytest.approx(oracle.low, abs=1e-9)
    assert found.high == pytest.approx(oracle.high, abs=1e-9)


@pytest.mark.parametrize("first", [(0.52, 0.50, 0.55, 0.49), (0.31, 0.33, 0.30, 0.36), (0.41, 0.43, 0.44, 0.40)])
def test_a_shown_difference_is_one_of_the_paired_t_test(first: tuple[float, ...]) -> None:
    second = (0.41, 0.42, 0.43, 0.42)
    found = compare_pairs(list(zip(first, second, strict=True)))
    assert (found.is_positive or found.is_negative) == (stats.ttest_rel(first, second).pvalue < 0.05)


def test_signs() -> None:
    ahead, behind = compare_pairs([(0.5, 0.1), (0.6, 0.1)] * 3), compare_pairs([(0.1, 0.5), (0.1, 0.6)] * 3)
    assert (ahead.is_positive, ahead.is_negative) == (True, False)
    assert (behind.is_positive, behind.is_negative) == (False, True)
    unsure = compare_pairs([(0.5, 0.1), (0.1, 0.5)])
    assert not unsure.is_positive
    assert not unsure.is_negative


def test_pairing_takes_out_what_seeds_share() -> None:
    """Seeds differ by far more than the arms; only pairs show it."""
    paired = compare_pairs([(0.11, 0.10), (0.515, 0.50), (0.91, 0.90)])
    shuffled = compare_pairs([(0.515, 0.10), (0.91, 0.50), (0.11, 0.90)])
    assert paired.mean == pytest.approx(shuffled.mean)
    assert paired.is_positive
    assert not shuffled.is_positive


def test_one_pair_has_no_interval_and_shows_nothing() -> None:
    found = compare_pairs([(0.9, 0.1)])
    assert (found.low, found.high, found.num_pairs) == (None, None, 1)
    assert not found.is_positive
    assert not found.is_negative


def test_equal_differences_have_an_interval_of_no_width() -> None:
    found = compare_pairs([(0.5, 0.25), (0.75, 0.5)])
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)
    nothing = compare_pairs([(0.5, 0.5), (0.7, 0.7)])
    assert not nothing.is_positive
    assert not nothing.is_negative


def test_no_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        compare_pairs([])
