"""What a study found, in sentences: differences with their intervals, and how soon an arm catches up."""

from __future__ import annotations

from collections.abc import Sequence

from dap_core.evaluation.paired import PairedDifference
from dap_core.evaluation.study_scores import (
    FIGURES,
    ArmComparison,
    CurvePoint,
    Figure,
    Part,
    Score,
    Setting,
    find_catch_up,
    trace_curve,
)

_NO_WIDTH = 1e-9
_CURVE_PARTS: tuple[Part, ...] = ("test", "validation")


def describe_findings(comparisons: Sequence[ArmComparison], figure: Figure, scores: Sequence[Score] = ()) -> list[str]:
    """A sentence for each comparison, then one for each pair of learning curves in `scores`, in points of the figure.

    With several comparisons a last sentence says how many of their intervals miss by chance.
    """
    sentences = [_describe_comparison(one, figure) for one in comparisons]
    sentences += [text for one in comparisons if (text := _describe_catch_up(one, figure, scores))]
    intervals = [one.difference for one in comparisons if has_interval(one.difference)]
    if len(intervals) > 1:
        confidence = intervals[0].confidence
        missed = f"{len(intervals) * (1 - confidence):.1f}"
        sentences.append(
            f"Each of the {len(intervals)} intervals holds the true difference with {confidence:.0%} confidence; "
            f"of so many, {missed} would miss it by chance on average."
        )
    return sentences


def has_interval(difference: PairedDifference) -> bool:
    """Whether the seeds say something of chance: there are several, and they do not all differ by the same."""
    if difference.low is None or difference.high is None:
        return False
    return difference.high - difference.low > _NO_WIDTH


def judge_difference(difference: PairedDifference) -> str:
    """One of `ahead`, `behind`, `not shown`, `one seed` and `no spread`, the last when all seeds differ by the same."""
    if difference.low is None:
        return "one seed"
    if not has_interval(difference):
        return "no spread"
    if difference.is_positive:
        return "ahead"
    return "behind" if difference.is_negative else "not shown"


def name_setting(setting: Setting) -> str:
    """Such as `VOC07, 5 images per class`."""
    return f"{setting.data}, {name_shots(setting)}"


def name_shots(setting: Setting) -> str:
    """Such as `5 images per class`."""
    if setting.shots is None:
        return "all images"
    return f"{setting.shots} {'image' if setting.shots == 1 else 'images'} per class"


def format_points(share: float, *, signed: bool = False) -> str:
    """A share of 1 in points, with one digit; signed ones with a true minus, and no sign of what rounds to zero.

    >>> format_points(0.1234), format_points(0.0312, signed=True), format_points(-0.0001, signed=True)
    ('12.3', '+3.1', '0.0')
    """
    text = f"{100 * share:.1f}"
    if float(text) == 0:
        return "0.0"
    return (f"+{text}" if signed and share > 0 else text).replace("-", "\u2212")


def _describe_comparison(one: ArmComparison, figure: Figure) -> str:
    difference, unit = one.difference, FIGURES[figure]
    where, arm, baseline = name_setting(one.arm.setting), one.arm.arm, one.baseline.arm
    mean = format_points(abs(difference.mean))
    side = "higher" if difference.mean >= 0 else "lower"
    apart = f"{arm} is {mean} points of {unit} {side} than {baseline}"
    match judge_difference(difference):
        case "one seed":
            return f"{where}: {apart}; one seed says nothing of chance."
        case "no spread":
            return (
                f"{where}: {apart} with each of {difference.num_pairs} seeds alike, "
                "so their spread says nothing of chance."
            )
        case "ahead" | "behind" as verdict:
            relation, interval = "ahead of" if verdict == "ahead" else "behind", _describe_interval(difference)
            return f"{where}: {arm} is {relation} {baseline} by {mean} points of {unit} ({interval})."
        case _:
            return (
                f"{where}: no difference between {arm} and {baseline} was shown; {apart}, "
                f"and zero lies within the interval ({_describe_interval(difference, width=True)})."
            )


def _describe_interval(difference: PairedDifference, *, width: bool = False) -> str:
    low, high = difference.low or 0.0, difference.high or 0.0
    wide = f", {format_points(high - low)} points wide" if width else ""
    return (
        f"{difference.confidence:.0%} interval of the paired difference {format_points(low, signed=True)} to "
        f"{format_points(high, signed=True)}{wide}, {difference.num_pairs} seeds"
    )


def _describe_catch_up(one: ArmComparison, figure: Figure, scores: Sequence[Score]) -> str:
    """After how many steps the arm is where its baseline ends; empty where either was measured once."""
    curve, other, part = _trace_both(one, figure, scores)
    if len(curve) < 2 or len(other) < 2:
        return ""
    arm, baseline, goal = one.arm.arm, one.baseline.arm, other[-1]
    end = f"where {baseline} ends ({format_points(goal.mean)} {FIGURES[figure]} after {_name_steps(goal.num_steps)})"
    own, theirs = find_catch_up(curve, goal.mean), find_catch_up(other, goal.mean)
    where = f"{name_setting(one.arm.setting)}, {part} part"
    if own is None:
        return f"{where}: {arm} does not get {end} within {_name_steps(curve[-1].num_steps)}."
    first = f"; {baseline} first is there after {_name_steps(theirs)}" if theirs not in (None, goal.num_steps) else ""
    measured = ", ".join(f"{point.num_steps:,}" for point in curve)
    return f"{where}: after {_name_steps(own)} {arm} is {end}{first}; measured at {measured}."


def _name_steps(num_steps: int | None) -> str:
    return f"{num_steps or 0:,} {'step' if num_steps == 1 else 'steps'}"


def _trace_both(
    one: ArmComparison, figure: Figure, scores: Sequence[Score]
) -> tuple[list[CurvePoint], list[CurvePoint], Part]:
    """The curves of an arm and its baseline on the part where both have the most steps, the test part if in doubt."""
    traced = []
    for part in _CURVE_PARTS:
        curves = [trace_curve(scores, one.arm.setting, side.arm, part, figure) for side in (one.arm, one.baseline)]
        traced.append((curves[0], curves[1], part))
    return max(traced, key=lambda found: min(len(found[0]), len(found[1])))
