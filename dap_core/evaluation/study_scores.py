"""What detectors of a study reached, and how arms are compared: the same rule for all, pairs of seeds.

An arm is a way to start a detector, such as a classifier alone (CLS) or a detector pre-trained on pseudo boxes (DAP).
Each fine-tuning is measured after several numbers of steps on a validation part; the number with the highest mean
over the seeds counts (the paper, section 4.1: early stop, the number of iterations is tuned), for every arm by itself,
and with it the test part is measured.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dap_core.evaluation.paired import PairedDifference, compare_pairs

Part = Literal["validation", "test"]
Figure = Literal["ap", "ap50", "ap75", "voc_ap50_area", "voc_ap50_11_points", "top1", "top5"]
FIGURES: dict[Figure, str] = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "voc_ap50_area": "VOC AP50",
    "voc_ap50_11_points": "VOC AP50, 11 points",
    "top1": "top-1",
    "top5": "top-5",
}
"""The figures of a score and how they are called; COCO's where nothing else is said."""
_DIGITS = 12  # of means that are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one detector reached on one part of a data set; figures are shares of 1, None where nothing was to find."""

    data: str
    """Name of the downstream data set."""
    arm: str
    shots: int | None
    """Drawn images of each class; None is all of them."""
    seed: int
    num_steps: int
    """Of fine-tuning; 0 is the detector as it was pre-trained."""
    part: Part
    ap: float | None
    ap50: float | None
    ap75: float | None
    voc_ap50_area: float | None
    voc_ap50_11_points: float | None
    top1: float | None = None
    """As a classifier (section 4.3)."""
    top5: float | None = None
    num_images: int
    num_boxes: int
    num_train: int
    """Drawn images it was fine-tuned on."""
    checkpoint_sha256: str

    def get(self, figure: Figure) -> float | None:
        """One of its figures."""
        value: float | None = getattr(self, figure)
        return value


@dataclass(frozen=True, slots=True)
class Setting:
    """Where arms are compared: one data set, with so many shots."""

    data: str
    shots: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """One arm in one setting, at its chosen number of steps."""

    setting: Setting
    arm: str
    num_steps: int
    by_seed: dict[int, float]
    """The figure on the test part."""

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return _mean(list(self.by_seed.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmComparison:
    """An arm held against its baseline, seed by seed."""

    arm: ArmResult
    baseline: ArmResult
    difference: PairedDifference


def choose_num_steps(scores: Iterable[Score], figure: Figure) -> dict[tuple[Setting, str], int]:
    """For each setting and arm the number of steps with the highest mean of a figure on the validation part.

    The fewest of equal ones; a figure that is None counts as 0. Only numbers measured with as many seeds as any of the
    arm are looked at, so that one good seed alone decides nothing. Test scores are not looked at.
    """
    values: dict[tuple[Setting, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        if score.part == "validation":
            place = values[Setting(score.data, score.shots), score.arm]
            place[score.num_steps].append(score.get(figure) or 0.0)
    return {key: _find_best(by_steps) for key, by_steps in values.items()}


def _find_best(by_steps: dict[int, list[float]]) -> int:
    most = max(map(len, by_steps.values()))
    complete = sorted(steps for steps, found in by_steps.items() if len(found) == most)
    return max(complete, key=lambda steps: round(_mean(by_steps[steps]), _DIGITS))


def collect_results(
    scores: Sequence[Score], figure: Figure, chosen: dict[tuple[Setting, str], int]
) -> dict[tuple[Setting, str], ArmResult]:
    """The test figures of each setting and arm at its chosen number of steps; 0 steps where none was to choose.

    A seed whose figure is None is left out, and an arm without any other.
    """
    by_seed: dict[tuple[Setting, str], dict[int, float]] = defaultdict(dict)
    for score in scores:
        key = Setting(score.data, score.shots), score.arm
        value = score.get(figure)
        if score.part == "test" and score.num_steps == chosen.get(key, 0) and value is not None:
            by_seed[key][score.seed] = value
    return {
        key: ArmResult(setting=key[0], arm=key[1], num_steps=chosen.get(key, 0), by_seed=dict(sorted(values.items())))
        for key, values in by_seed.items()
    }


def compare_arms(
    results: dict[tuple[Setting, str], ArmResult], baselines: dict[str, str], *, confidence: float = 0.95
) -> list[ArmComparison]:
    """Every arm held against its baseline, in every setting where both were measured with a seed in common."""
    comparisons = []
    for (setting, name), arm in results.items():
        baseline = results.get((setting, baselines.get(name, "")))
        seeds = sorted(arm.by_seed.keys() & baseline.by_seed.keys()) if baseline is not None else []
        if baseline is not None and seeds:
            pairs = [(arm.by_seed[seed], baseline.by_seed[seed]) for seed in seeds]
            difference = compare_pairs(pairs, confidence=confidence)
            comparisons.append(ArmComparison(arm=arm, baseline=baseline, difference=difference))
    return comparisons


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The figure of an arm after so many steps: mean, lowest and highest over the seeds."""

    num_steps: int
    mean: float
    lowest: float
    highest: float


def trace_curve(scores: Iterable[Score], setting: Setting, arm: str, part: Part, figure: Figure) -> list[CurvePoint]:
    """How a figure grows with the steps of fine-tuning (figure 5), in the order of the steps; None is left out."""
    values: dict[int, list[float]] = defaultdict(list)
    for score in scores:
        value = score.get(figure)
        place = score.data, score.shots, score.arm, score.part
        if place == (setting.data, setting.shots, arm, part) and value is not None:
            values[score.num_steps].append(value)
    return [CurvePoint(steps, _mean(found), min(found), max(found)) for steps, found in sorted(values.items())]


def find_catch_up(curve: Sequence[CurvePoint], goal: float) -> int | None:
    """The fewest measured steps after which a curve is at `goal` or above, None when it never is."""
    return next((point.num_steps for point in curve if point.mean >= goal), None)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
