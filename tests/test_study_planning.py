"""A study as a graph of jobs: what is shared is one job, what is unfair is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from dap_core.errors import InputError
from dap_core.evaluation.study_scores import Setting
from services.jobs.specs import DataFields, SourceFields
from services.studies.catalog import STUDIES, make_named_study
from services.studies.own_data import make_own_data
from services.studies.planning import StudyPlanner
from services.studies.steps import StepPlanner
from services.studies.study import Arm, Downstream, PseudoBoxes, Study, Training
from services.studies.synthetic_data import SyntheticSizes, make_synthetic_data

PHOTOS = PseudoBoxes(source=SourceFields(source=("/photos",)))
PRETRAINING = Training(recipe="pretrain-laptop")
CLS = Arm(name="CLS")
DAP = Arm(name="DAP", boxes=PHOTOS, pretraining=PRETRAINING, baseline="CLS")


def make_downstream(**values) -> Downstream:
    parts = {part: DataFields(data=f"/{part}.json", shots=None) for part in ("train", "validation", "test")}
    usual = {"name": "data", "shots": (5,), "steps": (10, 20), "finetuning": Training(recipe="finetune-laptop")}
    return Downstream(**{**usual, **parts, **values})


def make_study(**values) -> Study:
    usual = {"name": "mine", "title": "Mine", "question": "Which?", "source": "nowhere", "arms": (CLS, DAP)}
    return Study(**{**usual, "downstream": (make_downstream(),), "seeds": (0, 1), **values})


def plan(study: Study, root: str = "/place", leave_out: dict[str, str] | None = None) -> StudyPlanner:
    planner = StudyPlanner(study, StepPlanner(root), lambda fields: fields.data)
    planner.plan_mining()
    planner.plan_pretraining()
    measured = planner.plan_validation(leave_out or {})
    chosen = {(Setting(one.data, one.shots), one.arm): one.num_steps for one in measured}
    planner.plan_test(chosen, leave_out or {})
    planner.plan_probes()
    return planner


def count_kinds(planner: StudyPlanner) -> Counter[str]:
    return Counter(step.spec.kind for step in planner.steps.all.values())


def test_each_arm_shot_and_seed_is_trained_once_and_measured_after_each_number_of_steps() -> None:
    planner = plan(make_study(downstream=(make_downstream(shots=(5, 10, None)),)))
    validation, test = 2 * 3 * 2 * 2, 2 * 3 * 2
    assert count_kinds(planner) == {"mine": 1, "pretrain": 1, "finetune": 2 * 3 * 2, "evaluate": validation + test}


def test_arms_of_the_same_maps_share_the_network_s_run_and_of_the_same_boxes_the_pretraining() -> None:
    cut = replace(DAP, name="cut", boxes=replace(PHOTOS, thresholds=(0.5,)))
    longer = replace(DAP, name="other", pretraining=Training(recipe="pretrain-laptop", changes={"lr": "0.02"}))
    planner = plan(make_study(arms=(CLS, DAP, cut, longer)))
    kinds = count_kinds(planner)
    assert (kinds["mine"], kinds["recut"], kinds["pretrain"]) == (1, 1, 3)


def test_pairs_get_the_same_shots_seed_canvas_and_steps() -> None:
    planner = plan(make_study())
    specs = [step.spec for step in planner.steps.all.values() if step.spec.kind == "finetune"]
    same = [{**one.model_dump(), "out": 0, "checkpoint": 0, "classifier": 0} for one in specs]
    assert same[0] == same[1]
    assert same[2] == same[3]
    assert same[0] != same[2]
    assert [one.checkpoint is None for one in specs] == [True, False, True, False]


def test_validation_and_test_are_measured_on_their_own_parts_alone() -> None:
    planner = plan(make_study(), leave_out={"data/test": "{root}/leave-out/x.txt"})
    places = {
        spec.data: spec.leave_out for spec in (s.spec for s in planner.steps.all.values()) if spec.kind == "evaluate"
    }
    assert places == {"/validation.json": None, "/test.json": "/place/leave-out/x.txt"}


def test_ids_do_not_depend_on_the_root_and_places_do() -> None:
    here, there = plan(make_study(), "/here").steps.all, plan(make_study(), "s3://there/x").steps.all
    assert list(here) == list(there)
    assert all(step.spec.out.startswith("s3://there/x/") for step in there.values() if step.spec.kind == "finetune")


def test_a_job_comes_after_those_it_needs() -> None:
    steps = plan(make_study()).steps.all
    seen: set[str] = set()
    for step in steps.values():
        assert set(step.needs) <= seen
        seen.add(step.id)
    assert any(step.needs for step in steps.values())


def test_what_is_asked_changes_the_id() -> None:
    first = plan(make_study()).steps.all
    other = plan(make_study(downstream=(make_downstream(steps=(10, 30)),))).steps.all
    assert [key.split("-")[0] for key in first] == [key.split("-")[0] for key in other]
    shared = first.keys() & other.keys()
    assert {key.rpartition("-")[0] for key in shared} == {"mine", "pretrain"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"arms": (CLS, replace(DAP, finetuning={"lr": "1"}))}, "differs from its baseline CLS in finetuning"),
        ({"arms": (CLS, replace(DAP, times_steps=3))}, "in times_steps"),
        ({"arms": (CLS, replace(DAP, baseline="none"))}, "which is no other arm"),
        ({"arms": (CLS, CLS)}, "'CLS' is there twice"),
        ({"seeds": ()}, "needs seeds"),
        ({"downstream": ()}, "data to measure on"),
        ({"figure": "ap60"}, "figure is one of"),
    ],
)
def test_unfair_or_empty_studies_are_refused(values, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_study(**values)


def test_pretraining_needs_boxes_and_boxes_pretraining() -> None:
    for values in ({"boxes": PHOTOS}, {"pretraining": PRETRAINING}):
        with pytest.raises(ValueError, match="takes either pseudo boxes or drawn ones"):
            Arm(name="odd", **values)


@pytest.mark.parametrize("steps", [(), (0, 5), (5, 5), (10, 5)])
def test_steps_grow(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="growing numbers"):
        make_downstream(steps=steps)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_of_the_paper_can_be_planned(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "planned"
    data = make_synthetic_data(folder, SyntheticSizes(num_labelled=4, num_drawn=2, num_test=2))
    study = make_named_study(name, data)
    planner = plan(study)
    evaluated = {step.name.partition(": ")[2] for step in planner.steps.all.values() if step.spec.kind == "evaluate"}
    assert {name.rpartition(", ")[0].rpartition(", ")[0] or name.removesuffix(" as it is") for name in evaluated} == {
        arm.name for arm in study.arms
    }


def test_a_study_says_what_the_data_lack() -> None:
    data = make_own_data(labelled="/a", drawn="/b.json", validation="/c.json", test="/d.json")
    assert make_named_study("kshot", data).downstream[0].shots == (5, 10)
    with pytest.raises(InputError, match="needs other classifiers"):
        make_named_study("backbones", data)
    with pytest.raises(InputError, match="there is no study 'kshots'"):
        make_named_study("kshots", data)


def test_longer_fine_tuning_moves_its_milestones_too() -> None:
    changes = {"milestones": "8,16"}
    data = make_downstream(finetuning=Training(recipe="finetune-laptop", changes=changes))
    arms = (CLS, replace(CLS, name="CLS 3x", times_steps=3))
    planner = plan(make_study(arms=arms, downstream=(data,)))
    tuned = [step.spec for step in planner.steps.all.values() if step.spec.kind == "finetune"]
    assert [one.changes["milestones"] for one in tuned[:2]] == ["8,16", "24,48"]
    assert [one.keep for one in tuned[:2]] == [(10, 20), (30, 60)]
