"""Conducting a study: its jobs in their order, the number of steps chosen between them, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dap_core.evaluation.study_scores import (
    ArmComparison,
    ArmResult,
    Score,
    Setting,
    choose_num_steps,
    collect_results,
    compare_arms,
)
from services.annotated_data import open_annotated
from services.jobs.records import JobRecord
from services.jobs.specs import DataFields
from services.studies.leaks import LeakReport, load_or_find, write_leave_out
from services.studies.planning import Measured, StudyPlanner
from services.studies.running import StepRunner
from services.studies.steps import StepPlanner
from services.studies.study import Study


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What came of a study."""

    study: Study
    scores: list[Score]
    chosen: dict[tuple[Setting, str], int]
    results: dict[tuple[Setting, str], ArmResult]
    comparisons: list[ArmComparison]
    leaks: LeakReport
    planner: StudyPlanner
    pictured: list[Measured]
    """Those on the test part at the chosen number of steps."""
    records: dict[str, JobRecord]
    """Of all jobs."""


def conduct_study(study: Study, runner: StepRunner) -> StudyResult:
    """Runs what is not done yet of a study, and gives what came of all of it.

    Raises StudyStepError naming a job that failed, and what reading the data raises.
    """
    steps = StepPlanner(runner.root)
    planner = StudyPlanner(study, steps, _Identities())
    planner.plan_mining()
    records = runner.run("mining", steps.all)
    runner.watch.on_stage("comparing images", 0)
    leaks = _find_leaks(study, planner, runner.root)
    leave_out = write_leave_out(runner.root, leaks, study.downstream)
    planner.plan_pretraining()
    measured = planner.plan_validation(leave_out) + planner.plan_probes()
    records |= runner.run("training", steps.all)
    scores = [make_score(one, records) for one in measured]
    chosen = choose_num_steps(scores, study.figure)
    tested = planner.plan_test(chosen, leave_out)
    records |= runner.run("testing", steps.all)
    scores = list(dict.fromkeys([*scores, *(make_score(one, records) for one in tested)]))
    results = collect_results(scores, study.figure, chosen)
    return StudyResult(
        study=study,
        scores=scores,
        chosen=chosen,
        results=results,
        comparisons=compare_arms(results, study.baselines),
        leaks=leaks,
        planner=planner,
        pictured=tested,
        records=records,
    )


class _Identities:
    """The sha256 of drawn boxes, each data set read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, fields: DataFields) -> str:
        name = fields.model_dump_json()
        if name not in self._known:
            self._known[name] = open_annotated(fields).identity
        return self._known[name]


def _find_leaks(study: Study, planner: StudyPlanner, root: str) -> LeakReport:
    """The leaks between all that any arm is pre-trained on and the parts of the data."""
    label_sets = sorted({planner.steps.find_place(job) for job in planner.mined.values()})
    drawn = [arm.drawn for arm in study.arms if arm.drawn is not None]
    return load_or_find(root, label_sets, drawn, study.downstream)


def make_score(one: Measured, records: Mapping[str, JobRecord]) -> Score:
    """The score that a job measured."""
    result: dict[str, Any] = records[one.evaluate].result or {}
    trained: dict[str, Any] = (records[one.finetune].result or {}) if one.finetune else {}
    coco, voc, classifier = result["coco"], result["voc"], result["classifier"] or {}
    return Score(
        data=one.data,
        arm=one.arm,
        shots=one.shots,
        seed=one.seed,
        num_steps=one.num_steps,
        part=one.part,
        ap=coco["ap"],
        ap50=coco["ap50"],
        ap75=coco["ap75"],
        voc_ap50_area=voc["ap50_area"],
        voc_ap50_11_points=voc["ap50_11_points"],
        top1=classifier.get("top1"),
        top5=classifier.get("top5"),
        num_images=result["images"],
        num_boxes=result["boxes"],
        num_train=trained.get("images", 0),
        checkpoint_sha256=result["checkpoint_sha256"],
    )
