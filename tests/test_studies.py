"""Every study of the paper in its smallest size: real boxes, detectors and evaluations, trained for a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from dap_core.stores import LocalStore
from services.jobs.records import JobState
from services.studies.catalog import STUDIES, make_named_study
from services.studies.conducting import StudyResult, conduct_study
from services.studies.reporting import write_report
from services.studies.running import StepRunner
from services.studies.steps import Step
from services.studies.study import Study
from services.studies.study_data import StudyData
from services.studies.synthetic_data import make_synthetic_data
from services.studies.tables import read_scores, write_scores

SHORT = ("kshot", "convergence", "self-training", "classifier")
"""Those with jobs of all kinds; the others are planned in test_study_planning.py and run under `make soak`."""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the studies of this module keep their label sets and runs, and share them."""
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def data(root: Path) -> StudyData:
    return make_synthetic_data(root / "data")


def conduct(study: Study, root: Path) -> StudyResult:
    return conduct_study(study, StepRunner(str(root)))


class Interrupting:
    """Ends a study, as an interrupt does, when the first step of each kind is done."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def on_stage(self, _text: str, _num_steps: int) -> None:
        """Nothing."""

    def on_step(self, step: Step, what: str) -> None:
        """Interrupts where a kind of step is done for the first time."""
        if what == "done" and step.spec.kind not in self.seen:
            self.seen.add(step.spec.kind)
            raise KeyboardInterrupt


@pytest.mark.soak
def test_interrupted_after_a_step_of_every_kind_it_gives_the_same_results(
    data: StudyData, root: Path, tmp_path: Path
) -> None:
    study = make_named_study("kshot", data)
    watch = Interrupting()
    num_interrupts = 0
    while True:
        try:
            result = conduct_study(study, StepRunner(str(tmp_path), watch=watch))
            break
        except KeyboardInterrupt:
            num_interrupts += 1
    assert num_interrupts == len(watch.seen) == 5
    calm = conduct(study, root)
    files = [write_scores("kshot", one.scores, one.chosen) for one in (result, calm)]
    assert files[0] == files[1]
    attempts = [one.attempt for one in result.records.values()]
    assert attempts == [1] * len(attempts), "what was done was done again"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.soak) for name in STUDIES]
)
def test_every_study_runs_to_its_report(name: str, data: StudyData, root: Path) -> None:
    study = make_named_study(name, data)
    result = conduct(study, root)
    store = LocalStore(root / "reports" / name)
    findings = write_report(store, result)
    scores = read_scores(store.get("results.parquet"))
    assert {score.arm for score in scores} == {arm.name for arm in study.arms}
    assert len(result.results) == len(study.arms) * sum(len(one.shots) for one in study.downstream) + len(
        study.arms
    ) * len(study.probes)
    assert len(findings) >= len(study.baselines)
    assert all(record.state is JobState.SUCCEEDED for record in result.records.values())
    page = store.get("report.html").decode()
    assert study.question in page
    assert all(caveat in page for caveat in study.caveats)
