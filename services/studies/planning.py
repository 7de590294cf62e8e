"""The jobs of a study.

Mine, cut, pre-train, fine-tune, measure on the validation part; then, with the number of steps chosen, measure on the
test part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dap_core.evaluation.study_scores import Part, Setting
from dap_core.training.runs import name_kept
from services.jobs.specs import DataFields
from services.studies.steps import StepPlanner
from services.studies.study import Arm, Downstream, Probe, PseudoBoxes, Study, Training

_PRETRAIN_SEED = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A detector that is measured: which score it gives, and the jobs it comes from."""

    data: str
    arm: str
    shots: int | None
    seed: int
    num_steps: int
    part: Part
    evaluate: str
    """Id of the job that measures it."""
    finetune: str | None
    """Id of the job that fine-tuned it."""


class StudyPlanner:
    """Makes the jobs of one study."""

    def __init__(self, study: Study, steps: StepPlanner, identify: Callable[[DataFields], str]) -> None:
        """`identify` gives the sha256 of drawn boxes."""
        self.study, self.steps, self._identify = study, steps, identify
        self.mined: dict[str, str] = {}
        """The job that makes the label set of each arm."""
        self.pretrained: dict[str, str] = {}

    def plan_mining(self) -> None:
        """The jobs that run the classifier over images with labels."""
        for arm in self.study.arms:
            if arm.boxes is not None:
                self.mined[arm.name] = self._mine(arm, arm.boxes)

    def plan_pretraining(self) -> None:
        """The jobs that cut boxes otherwise, and pre-train."""
        for arm in self.study.arms:
            if arm.pretraining is not None:
                self.pretrained[arm.name] = self._pretrain(arm, arm.pretraining)

    def plan_validation(self, leave_out: Mapping[str, str]) -> list[Measured]:
        """The jobs that fine-tune, and measure after each number of steps.

        `leave_out` names the files with the images of each part that are not to be measured on, by data set and part.
        """
        measured = []
        for arm, data, shots, seed in self._list_runs():
            steps = self._list_steps(arm, data)
            finetune, places = self._finetune(arm, data, shots, seed, steps)
            parts: tuple[Part, ...] = ("validation", "test") if self.study.follows_steps else ("validation",)
            for num_steps in steps:
                for part in parts:
                    one = _Place(data, part, leave_out.get(f"{data.name}/{part}"))
                    evaluate = self._evaluate(one, places[num_steps], finetune, f"{arm.name}, {_name(shots, seed)}")
                    measured.append(Measured(data.name, arm.name, shots, seed, num_steps, part, evaluate, finetune))
        return measured

    def plan_test(self, chosen: Mapping[tuple[Setting, str], int], leave_out: Mapping[str, str]) -> list[Measured]:
        """The jobs that measure on the test part after the chosen number of steps.

        Those of the first seed also keep what they found, for the pictures of the report.
        """
        measured = []
        for arm, data, shots, seed in self._list_runs():
            steps = self._list_steps(arm, data)
            finetune, places = self._finetune(arm, data, shots, seed, steps)
            num_steps = chosen[Setting(data.name, shots), arm.name]
            one = _Place(data, "test", leave_out.get(f"{data.name}/test"))
            keeps = seed == self.study.seeds[0]
            name = f"{arm.name}, {_name(shots, seed)}"
            evaluate = self._evaluate(one, places[num_steps], finetune, name, keeps_boxes=keeps)
            measured.append(Measured(data.name, arm.name, shots, seed, num_steps, "test", evaluate, finetune))
        return measured

    def plan_probes(self) -> list[Measured]:
        """The jobs that measure pre-trained detectors as they are."""
        return [
            self._probe(probe, arm)
            for probe in self.study.probes
            for arm in self.study.arms
            if arm.name in self.pretrained
        ]

    def _list_runs(self) -> Iterable[tuple[Arm, Downstream, int | None, int]]:
        study = self.study
        return (
            (arm, data, shots, seed)
            for data in study.downstream
            for shots in data.shots
            for seed in study.seeds
            for arm in study.arms
        )

    def _mine(self, arm: Arm, boxes: PseudoBoxes) -> str:
        start, needs = self._start(arm)
        fields = {**_dump(boxes.source), **_dump(boxes.mining), **start}
        return self.steps.add("mine", fields, f"mine for {arm.name}", needs, out="")

    def _cut(self, arm: Arm, boxes: PseudoBoxes) -> str:
        mined = self.mined[arm.name]
        if boxes.thresholds is None and boxes.nms_iou is None:
            return mined
        fields = {"label_set": self.steps.place(mined), "thresholds": boxes.thresholds, "nms_iou": boxes.nms_iou}
        return self.steps.add("recut", fields, f"cut for {arm.name}", (mined,), out="")

    def _pretrain(self, arm: Arm, training: Training) -> str:
        fields = {"recipe": training.recipe, "changes": dict(training.changes), "seed": _PRETRAIN_SEED}
        start, needs = self._start(arm)
        fields |= start
        name = f"pre-train for {arm.name}"
        if arm.drawn is not None:
            data = self._identify(arm.drawn)
            return self.steps.add("finetune", {**fields, **_dump(arm.drawn)}, name, needs, data, out="")
        assert arm.boxes is not None
        cut = self.mined[arm.name] = self._cut(arm, arm.boxes)
        fields |= {"label_set": self.steps.place(cut)}
        return self.steps.add("pretrain", fields, name, (cut, *needs), out="")

    def _start(self, arm: Arm) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The fields that name the classifier of an arm, and the job that fits it, if there is one."""
        start = arm.start
        if start.fitted_to is None:
            return {"classifier": start.classifier, "weights": start.weights, "classes": start.classes}, ()
        fields = {**_dump(start.fitted_to), "start": start.classifier, "weights": start.weights}
        fields |= {"classes": start.classes, "head_only": start.fitting is None}
        if start.fitting is not None:
            fields |= {"recipe": start.fitting.recipe, "changes": dict(start.fitting.changes), "decoders": 0}
        fitted = self.steps.add("train-classifier", fields, f"train the classifier {start.classifier}", out="")
        return {"classifier": self.steps.place(fitted)}, (fitted,)

    def _list_steps(self, arm: Arm, data: Downstream) -> tuple[int, ...]:
        if arm.self_training is not None:
            return arm.self_training.steps
        return tuple(arm.times_steps * steps for steps in data.steps)

    def _finetune(
        self, arm: Arm, data: Downstream, shots: int | None, seed: int, steps: tuple[int, ...]
    ) -> tuple[str, dict[int, str]]:
        """The job that trains the detector which is measured, and where it keeps it after each number of steps."""
        budget = tuple(arm.times_steps * one for one in data.steps)
        changes = _scale(data.finetuning, arm.times_steps) | dict(arm.finetuning)
        drawn = {**_dump(data.train), "shots": shots, "shot_seed": seed, "seed": seed, "decoders": 0}
        fields = {**drawn, "recipe": data.finetuning.recipe, "changes": changes | {"num_steps": str(budget[-1])}}
        fields |= {"keep": budget}
        needs: tuple[str, ...] = ()
        if arm.pretraining is None:
            start, needs = self._start(arm)
            fields |= start
        else:
            needs = (self.pretrained[arm.name],)
            fields |= {"checkpoint": self.steps.place(needs[0])}
        name = f"{data.name}, {_name(shots, seed)}: fine-tune {arm.name.partition(' + ')[0]}"
        finetune = self.steps.add("finetune", fields, name, needs, self._identify(data.train), out="")
        if arm.self_training is not None:
            finetune = self._self_train(arm, data, drawn, finetune, name)
        return finetune, {one: f"{self._place_run(finetune)}/{name_kept(one)}" for one in steps}

    def _self_train(self, arm: Arm, data: Downstream, drawn: dict[str, Any], finetune: str, name: str) -> str:
        way = arm.self_training
        assert way is not None
        if not data.unlabelled:
            raise ValueError(f"{data.name} names no images without boxes, which arm {arm.name} is trained further on")
        fields = {
            **drawn,
            "recipe": way.training.recipe,
            "changes": dict(way.training.changes) | {"num_steps": str(way.steps[-1])},
            "keep": way.steps,
            "keep_score": way.keep_score,
            "images": data.unlabelled,
            "checkpoint": self._place_run(finetune),
        }
        name, identity = f"{name}, further", self._identify(data.train)
        return self.steps.add("self-train", fields, name, (finetune,), identity, out="run", labels="labels")

    def _place_run(self, step: str) -> str:
        place = self.steps.place(step)
        return f"{place}/run" if step.startswith("self-train") else place

    def _evaluate(self, where: _Place, detector: str, finetune: str, name: str, *, keeps_boxes: bool = False) -> str:
        fields = {**_dump(where.fields), "detector": detector, "short_side": where.data.short_side}
        name = f"{where.data.name}, {where.part}: {name}"
        outs = {"out": ""} if keeps_boxes else {}
        return self.steps.add("evaluate", fields, name, (finetune,), self._identify(where.drawn), **outs)

    def _probe(self, probe: Probe, arm: Arm) -> Measured:
        pretrained = self.pretrained[arm.name]
        fields = {
            **_dump(probe.test),
            "detector": self.steps.place(pretrained),
            "short_side": probe.short_side,
        }
        name, identity = f"{probe.name}: {arm.name} as it is", self._identify(probe.test)
        evaluate = self.steps.add("evaluate", fields, name, (pretrained,), identity)
        return Measured(probe.name, arm.name, None, _PRETRAIN_SEED, 0, "test", evaluate, None)


@dataclass(frozen=True, slots=True)
class _Place:
    """A part of a data set, without the images that are not to be measured on."""

    data: Downstream
    part: Part
    leave_out: str | None

    @property
    def drawn(self) -> DataFields:
        """The whole part."""
        return self.data.validation if self.part == "validation" else self.data.test

    @property
    def fields(self) -> DataFields:
        """What is measured on."""
        return self.drawn if self.leave_out is None else self.drawn.model_copy(update={"leave_out": self.leave_out})


def _dump(fields: Any) -> dict[str, Any]:
    values: dict[str, Any] = fields.model_dump(mode="json", exclude_defaults=True)
    return values


def _scale(training: Training, times: int) -> dict[str, str]:
    """The changes of a training that is so many times as long."""
    changes = dict(training.changes)
    if times > 1 and "milestones" in changes:
        changes["milestones"] = ",".join(str(times * int(one)) for one in changes["milestones"].split(",") if one)
    return changes


def _name(shots: int | None, seed: int) -> str:
    return f"{'all' if shots is None else shots} shots, seed {seed}"
