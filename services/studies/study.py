"""A study as a typed record: which arms are compared, on which data, with how many drawn images and seeds.

Everything that could favour an arm is said once, for all of them: images, shots, seeds, canvas, steps, evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from dap_core.evaluation.study_scores import FIGURES, Figure
from services.jobs.specs import DataFields, RecipeFields, SourceFields


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A recipe of `dap recipes`, and the values that differ from it."""

    recipe: str
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The classifier whose backbone a detector starts from, and which draws the maps."""

    classifier: str = "lite0"
    weights: str | None = None
    """`random` is a detector from scratch."""
    classes: str | None = None
    fitted_to: SourceFields | None = None
    """Images of classes of one's own, to train it on first."""
    fitting: Training | None = None
    """How (step 1 of the paper); None fits a last layer on the frozen network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoBoxes:
    """Images with image-level labels, how their maps are drawn, and how boxes are cut from these."""

    source: SourceFields
    mining: RecipeFields = field(default_factory=RecipeFields)
    """All pseudo boxes of the same images and maps share one run of the network."""
    thresholds: tuple[float, ...] | None = None
    """Left out, those of `mining`."""
    nms_iou: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTraining:
    """Training further on what the fine-tuned detector finds in images without boxes (table 9)."""

    training: Training
    steps: tuple[int, ...]
    """After which it is measured on the validation part; the last one ends it."""
    keep_score: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to start a detector. Raises ValueError for pre-training without boxes, or boxes without it."""

    name: str
    start: Start = field(default_factory=Start)
    boxes: PseudoBoxes | None = None
    """Pseudo boxes to pre-train on; None is the classifier alone, but for `drawn`."""
    drawn: DataFields | None = None
    """Drawn boxes to pre-train on, in their place (table 8)."""
    pretraining: Training | None = None
    finetuning: Mapping[str, str] = field(default_factory=dict)
    """What differs from the fine-tuning of the data, such as the architecture."""
    times_steps: int = 1
    """Fine-tuning is so many times as long (table 10)."""
    self_training: SelfTraining | None = None
    baseline: str | None = None
    """The arm it is held against."""

    def __post_init__(self) -> None:
        given = (self.boxes is not None) + (self.drawn is not None)
        if given != (self.pretraining is not None):
            raise ValueError(
                f"arm {self.name}: pre-training takes either pseudo boxes or drawn ones, got {given} of them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Downstream:
    """Images with drawn boxes in three parts, and how detectors are fine-tuned on them.

    Raises ValueError for steps that do not grow.
    """

    name: str
    train: DataFields
    """The shots are drawn from these."""
    validation: DataFields
    """The number of steps is chosen on these."""
    test: DataFields
    shots: tuple[int | None, ...]
    """Images of each class; None is all."""
    steps: tuple[int, ...]
    """Numbers of steps to choose from, growing; the last one ends the training."""
    finetuning: Training
    short_side: int | None = None
    """Of evaluation, pixels; left out, the largest that was trained at."""
    unlabelled: tuple[str, ...] = ()
    """Images that are taken as without boxes, for self-training; none of the other parts but `train`."""

    def __post_init__(self) -> None:
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or self.steps[0] < 1:
            raise ValueError(f"{self.name}: steps are one or more growing numbers, got {self.steps}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Images on which pre-trained detectors are measured as they are, such as how well they classify (section 4.3)."""

    name: str
    test: DataFields
    short_side: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is asked, and all that is needed to answer it.

    Raises ValueError for two arms or data sets of one name, a baseline that is none, or an arm that is fine-tuned in
    another way than its baseline.
    """

    name: str
    title: str
    question: str
    source: str
    """Where the paper asks it."""
    arms: tuple[Arm, ...]
    downstream: tuple[Downstream, ...] = ()
    probes: tuple[Probe, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each draws its own shots, the same for all arms."""
    figure: Figure = "ap50"
    follows_steps: bool = False
    """Whether the test part, too, is measured after each number of steps (figure 5)."""
    caveats: tuple[str, ...] = ()
    """What a reader has to know, one sentence each."""

    def __post_init__(self) -> None:
        _check_names("arms", [arm.name for arm in self.arms])
        _check_names("downstream", [one.name for one in self.downstream])
        if self.figure not in FIGURES:
            raise ValueError(f"figure is one of {', '.join(FIGURES)}, got {self.figure!r}")
        if not self.seeds or not (self.downstream or self.probes):
            raise ValueError("a study needs seeds, and data to measure on")
        arms = {arm.name: arm for arm in self.arms}
        for arm in self.arms:
            if arm.baseline is not None:
                _check_fair(arm, arms.get(arm.baseline))

    @property
    def baselines(self) -> dict[str, str]:
        """The baseline of each arm that has one."""
        return {arm.name: arm.baseline for arm in self.arms if arm.baseline is not None}


def _check_names(what: str, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what} have names of their own, {twice[0]!r} is there twice")


def _check_fair(arm: Arm, baseline: Arm | None) -> None:
    if baseline is None or baseline is arm:
        raise ValueError(f"the baseline of arm {arm.name} is {arm.baseline!r}, which is no other arm")
    for name in ("finetuning", "times_steps", "start"):
        ours, theirs = getattr(arm, name), getattr(baseline, name)
        if name == "start" and "random" in (ours.weights, theirs.weights):
            continue
        if ours != theirs:
            raise ValueError(f"arm {arm.name} differs from its baseline {baseline.name} in {name}: {ours}, {theirs}")
