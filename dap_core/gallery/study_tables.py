"""The tables of a study as text: our results with the paper's in the same columns, single seeds, choice of steps."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dap_core.evaluation.paper_results import PaperResult
from dap_core.evaluation.study_findings import format_points, judge_difference, name_setting
from dap_core.evaluation.study_scores import ArmComparison, ArmResult, Figure, Score, Setting, trace_curve

Results = Mapping[tuple[Setting, str], ArmResult]
_VERDICTS = {
    "ahead": "ahead",
    "behind": "behind",
    "not shown": "not shown: the interval holds 0",
    "one seed": "one seed, no interval",
    "no spread": "all seeds alike, no interval",
}
_BOUNDS = {"=": "", ">=": "\u2265\u00a0", "<": "<\u00a0"}


@dataclass(frozen=True, slots=True)
class ArmCell:
    """An arm in a setting: mean and standard deviation over seeds in points, and the chosen number of steps."""

    mean: str
    spread: str
    """Empty with one seed."""
    steps: str


@dataclass(frozen=True, slots=True)
class DifferenceCell:
    """An arm held against its baseline, in points."""

    mean: str
    interval: str
    verdict: str
    is_shown: bool


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One setting; a cell is None where an arm was not measured."""

    name: str
    cells: tuple[ArmCell | None, ...]
    differences: tuple[DifferenceCell | None, ...]


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One setting of the paper and one of its figures, in the columns of a study; empty where it gives none.

    `others` names arms of the paper that the study does not have, with their values.
    """

    name: str
    table: str
    figure: str
    cells: tuple[str, ...]
    differences: tuple[str, ...]
    others: str


@dataclass(frozen=True, slots=True)
class ValueRow:
    """Names and values; `chosen` is the place of the value that counts, or None."""

    names: tuple[str, ...]
    values: tuple[str, ...]
    chosen: int | None = None


@dataclass(frozen=True, slots=True)
class ValueTable:
    """Rows of values with the heads of their columns."""

    heads: tuple[str, ...]
    rows: tuple[ValueRow, ...]


def list_pairs(
    arms: Sequence[str], baselines: Mapping[str, str], comparisons: Sequence[ArmComparison]
) -> list[tuple[str, str]]:
    """The columns of differences: each arm with its baseline, where the two were compared."""
    compared = {(one.arm.arm, one.baseline.arm) for one in comparisons}
    return [(arm, baselines[arm]) for arm in arms if arm in baselines and (arm, baselines[arm]) in compared]


def list_result_rows(
    results: Results, comparisons: Sequence[ArmComparison], arms: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> list[ResultRow]:
    """A row for each setting, in the order of the results."""
    found = {(one.arm.setting, (one.arm.arm, one.baseline.arm)): one for one in comparisons}
    return [
        ResultRow(
            name_setting(setting),
            tuple(_show_arm(results.get((setting, arm))) for arm in arms),
            tuple(_show_difference(found.get((setting, pair))) for pair in pairs),
        )
        for setting in dict.fromkeys(setting for setting, _ in results)
    ]


def list_paper_rows(
    paper: Sequence[PaperResult], arms: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> list[PaperRow]:
    """A row for each table, setting and figure of the paper; arms are matched by name, whatever its case."""
    groups: dict[tuple[str, str, str], dict[str, PaperResult]] = {}
    digits: dict[tuple[str, str], int] = {}
    for one in paper:
        groups.setdefault((one.table, one.setting, one.figure), {})[one.arm.casefold()] = one
        place = one.table, one.setting
        digits[place] = max(digits.get(place, 0), len(f"{one.value:g}".partition(".")[2]))
    return [
        _make_paper_row(key, by_arm, digits[key[:2]], [arm.casefold() for arm in arms], pairs)
        for key, by_arm in groups.items()
    ]


def _make_paper_row(
    key: tuple[str, str, str],
    by_arm: Mapping[str, PaperResult],
    digits: int,
    arms: Sequence[str],
    pairs: Sequence[tuple[str, str]],
) -> PaperRow:
    table, setting, figure = key
    others = [one for arm, one in by_arm.items() if arm not in arms]
    return PaperRow(
        name=setting,
        table=table,
        figure=figure,
        cells=tuple(_show_paper(by_arm.get(arm), digits) for arm in arms),
        differences=tuple(_subtract(by_arm.get(a.casefold()), by_arm.get(b.casefold()), digits) for a, b in pairs),
        others=", ".join(f"{one.arm} {_show_paper(one, digits)}" for one in others),
    )


def make_seed_table(results: Results) -> ValueTable:
    """The figure of every seed at the chosen number of steps."""
    seeds = sorted({seed for one in results.values() for seed in one.by_seed})
    rows = (
        ValueRow(
            (name_setting(setting), arm, f"{one.num_steps:,}"),
            tuple(format_points(one.by_seed[seed]) if seed in one.by_seed else "" for seed in seeds),
        )
        for (setting, arm), one in results.items()
    )
    return ValueTable(("setting", "arm", "steps", *(f"seed {seed}" for seed in seeds)), tuple(rows))


def make_step_table(scores: Sequence[Score], results: Results, figure: Figure) -> ValueTable:
    """The mean of the validation part after each number of steps, from which the number was chosen."""
    curves = {key: trace_curve(scores, *key, "validation", figure) for key in results}
    curves = {key: curve for key, curve in curves.items() if len(curve) > 1}
    steps = sorted({point.num_steps for curve in curves.values() for point in curve})
    rows = []
    for (setting, arm), curve in curves.items():
        means = {point.num_steps: format_points(point.mean) for point in curve}
        chosen = results[setting, arm].num_steps
        place = steps.index(chosen) if chosen in means else None
        rows.append(ValueRow((name_setting(setting), arm), tuple(means.get(step, "") for step in steps), place))
    return ValueTable(("setting", "arm", *(f"{step:,}" for step in steps)), tuple(rows))


def _show_arm(result: ArmResult | None) -> ArmCell | None:
    if result is None:
        return None
    values = list(result.by_seed.values())
    spread = format_points(statistics.stdev(values)) if len(values) > 1 else ""
    return ArmCell(
        format_points(result.mean), spread, f"{result.num_steps:,} {'step' if result.num_steps == 1 else 'steps'}"
    )


def _show_difference(one: ArmComparison | None) -> DifferenceCell | None:
    if one is None:
        return None
    difference, verdict = one.difference, judge_difference(one.difference)
    interval = ""
    if difference.low is not None and difference.high is not None and verdict != "no spread":
        interval = f"{format_points(difference.low, signed=True)} to {format_points(difference.high, signed=True)}"
    seeds = {len(one.arm.by_seed), len(one.baseline.by_seed), difference.num_pairs}
    partial = f", {difference.num_pairs} seeds in common" if len(seeds) > 1 else ""
    return DifferenceCell(
        format_points(difference.mean, signed=True),
        interval,
        _VERDICTS[verdict] + partial,
        verdict in ("ahead", "behind"),
    )


def _show_paper(one: PaperResult | None, digits: int) -> str:
    return "" if one is None else f"{_BOUNDS[one.bound]}{one.value:.{digits}f}"


def _subtract(arm: PaperResult | None, baseline: PaperResult | None, digits: int) -> str:
    """The difference of two values; bounds have none."""
    if arm is None or baseline is None or {arm.bound, baseline.bound} != {"="}:
        return ""
    return f"{arm.value - baseline.value:+.{digits}f}".replace("-", "\u2212")
