"""A detector is measured while it trains; the training is as it is without that."""

from __future__ import annotations

from pathlib import Path

import pytest

from dap_core.errors import InputError, SourceError
from dap_core.stores import LocalStore
from dap_core.training.runs import read_metrics
from services.jobs.evaluation_specs import EvaluateSpec
from services.jobs.events import Event
from services.jobs.job_store import JobStore
from services.jobs.kinds import find_runner
from services.jobs.records import JobRecord
from services.jobs.runner import run_job
from services.jobs.specs import JobSpec
from services.jobs.training_specs import FinetuneSpec
from tests.builders import encode_image, make_pixels
from tests.detector_builders import TINY
from tests.service_builders import RAY_ENVIRONMENT
from tests.training_driver import CHANGES

pytestmark = pytest.mark.usefixtures("one_thread")
NUM_STEPS = 5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images with a white box of one of two classes each, as CSV."""
    folder = tmp_path_factory.mktemp("drawn")
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for number in range(6):
        pixels = make_pixels(120, 90, seed=number) // 4
        pixels[20:70, 30:90] = 255
        (folder / f"{number}.png").write_bytes(encode_image(pixels))
        lines.append(f"{number}.png,120,90,{'cat' if number % 2 else 'dog'},30,20,90,70")
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n")
    return folder / "boxes.csv"


def make_spec(drawn: Path, out: Path, **fields: object) -> FinetuneSpec:
    changes = {**CHANGES, "num_steps": str(NUM_STEPS)}
    values = {"classifier": TINY, "weights": "random", "data": str(drawn), "out": str(out), "decoders": 0}
    return FinetuneSpec.model_validate({**values, "changes": changes, **fields})


def run(folder: Path, spec: JobSpec) -> tuple[JobRecord, list[Event]]:
    jobs = JobStore(LocalStore(folder))
    job = jobs.submit(spec)
    return run_job(jobs, job, find_runner(spec)), [one for one in jobs.read_events(job) if one.kind == "measured"]


def list_losses(place: Path) -> list[float]:
    return [one.loss for one in read_metrics(LocalStore(place))]


def test_it_is_measured_as_evaluate_measures_it_and_trains_the_same(drawn: Path, tmp_path: Path):
    run(tmp_path / "jobs", make_spec(drawn, tmp_path / "plain"))
    spec = make_spec(drawn, tmp_path / "out", test_data=str(drawn), measure_every=2, keep=(2, 4))
    record, events = run(tmp_path / "jobs", spec)
    assert list_losses(tmp_path / "out") == list_losses(tmp_path / "plain")
    assert [event.values["step"] for event in events] == [2, 4, 5]
    for event, place in zip(events, ("out/steps/2", "out/steps/4", "out"), strict=True):
        asked = EvaluateSpec(detector=str(tmp_path / place), data=str(drawn), short_side=64)
        evaluated, _ = run(tmp_path / "jobs", asked)
        assert evaluated.result is not None
        assert (event.values["images"], event.values["failed"]) == (6, 0)
        assert event.values["ap"] == pytest.approx(evaluated.result["coco"]["ap"], abs=1e-9)
        assert event.values["ap50"] == pytest.approx(evaluated.result["coco"]["ap50"], abs=1e-9)
    assert record.result is not None
    assert record.result["measured"] == events[-1].values


def test_an_image_that_cannot_be_read_counts_as_one_in_which_nothing_was_found(drawn: Path, tmp_path: Path):
    lines = drawn.read_text().splitlines()
    (drawn.parent / "bad.png").write_bytes(b"no image")
    table = drawn.with_name("with-bad.csv")
    table.write_text("\n".join([*lines, "bad.png,120,90,cat,30,20,90,70"]) + "\n")
    _, events = run(tmp_path / "jobs", make_spec(drawn, tmp_path / "out", test_data=str(table), measure_every=99))
    [event] = events
    assert (event.values["step"], event.values["images"], event.values["failed"]) == (NUM_STEPS, 7, 1)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("nowhere.csv", SourceError, "nowhere"),
        ("zebra.csv", InputError, r"does not know 1 classes of the annotations: zebra"),
    ],
)
def test_test_data_that_cannot_be_used_is_refused_before_the_first_step(
    drawn: Path, tmp_path: Path, name: str, kind: type[Exception], message: str
):
    drawn.with_name("zebra.csv").write_text(f"{drawn.read_text().splitlines()[0]}\n0.png,120,90,zebra,30,20,90,70\n")
    with pytest.raises(kind, match=message):
        run(tmp_path / "jobs", make_spec(drawn, tmp_path / "out", test_data=str(drawn.with_name(name))))
    assert not (tmp_path / "out").exists()


def test_the_first_of_several_workers_measures_it(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in RAY_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    spec = make_spec(drawn, tmp_path / "out", test_data=str(drawn), measure_every=3, workers=2)
    record, events = run(tmp_path / "jobs", spec)
    assert [event.values["step"] for event in events] == [3, 5]
    assert record.result is not None
    assert record.result["measured"] == events[-1].values
