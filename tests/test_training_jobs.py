"""Training as a job: killed, interrupted, cancelled, gone on with; and what is refused before the first step."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dap_core.errors import CheckpointError, DapError, DestinationError, InputError, LabelSetError, SourceError
from dap_core.label_sets import open_label_set
from dap_core.stores import LocalStore
from dap_core.training.loop import StepReport
from dap_core.training.runs import read_metrics
from services.jobs.job_store import JobStore
from services.jobs.records import JobState
from services.jobs.specs import JobSpec
from services.jobs.training_specs import FinetuneSpec, PretrainSpec
from tests.builders import encode_image, make_pixels
from tests.detector_builders import TINY
from tests.mining_builders import make_labeler, make_mined_set, mine_folder
from tests.service_builders import RAY_ENVIRONMENT
from tests.training_driver import CHANGES, make_spec, run_here, start_driver, wait_for_half_state, wait_for_state

pytestmark = pytest.mark.usefixtures("one_thread")
NUM_STEPS, SAVE_EVERY = 24, 4


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    make_mined_set(folder, num_images=7, max_rows=3)
    return folder / "labels"


@pytest.fixture(scope="module")
def calm(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StepReport]:
    """What every step reports when nothing happens."""
    out = tmp_path_factory.mktemp("calm")
    record = run_here(make_spec(labels, out, NUM_STEPS))
    assert record.state is JobState.SUCCEEDED
    return read_metrics(LocalStore(out)).reports


def submit(root: Path, spec: JobSpec) -> tuple[JobStore, str]:
    jobs = JobStore(LocalStore(root))
    return jobs, jobs.submit(spec)


def kill_and_go_on(labels: Path, tmp_path: Path, calm: list[StepReport], num_kills: int) -> None:
    """Kills the process again and again, each time past the state it went on from; then lets it end."""
    out, chance, reached = tmp_path / "out", random.Random(4), 0
    jobs, job = submit(tmp_path / "jobs", make_spec(labels, out, NUM_STEPS))
    for _ in range(num_kills):
        driver = start_driver(tmp_path / "jobs", job)
        reached = wait_for_state(out, reached)
        time.sleep(chance.uniform(0, 0.15))
        driver.kill()
        driver.join()
        assert driver.exitcode == -signal.SIGKILL, "the run was over before it could be killed"
    driver = start_driver(tmp_path / "jobs", job)
    driver.join(90)
    assert driver.exitcode == 0
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, num_kills + 1)
    assert [one.loss for one in read_metrics(LocalStore(out))] == [one.loss for one in calm]
    begun = [event.values["step"] for event in jobs.read_events(job) if event.kind == "training"]
    assert len(begun) == num_kills + 1
    assert begun == sorted(begun)
    assert all(step % SAVE_EVERY == 0 for step in begun)
    assert record.progress.done == NUM_STEPS * 2


def test_a_killed_run_ends_with_the_losses_of_one_that_nothing_happened_to(labels: Path, tmp_path: Path, calm):
    kill_and_go_on(labels, tmp_path, calm, 2)


def test_a_run_killed_while_it_writes_a_state_goes_on_from_the_one_before(labels: Path, tmp_path: Path, calm):
    out = tmp_path / "out"
    _, job = submit(tmp_path / "jobs", make_spec(labels, out, NUM_STEPS, save_every=1))
    while True:
        driver = start_driver(tmp_path / "jobs", job)
        half = wait_for_half_state(out)
        driver.kill()
        driver.join()
        if not (half / "state.json").exists() and (half / "model.safetensors").exists():
            break
    assert run_here(make_spec(labels, out, NUM_STEPS, save_every=1)).state is JobState.SUCCEEDED
    assert [one.loss for one in read_metrics(LocalStore(out))] == [one.loss for one in calm]


def test_going_on_where_there_is_no_run_is_refused(labels: Path, tmp_path: Path):
    with pytest.raises(DestinationError, match=r"there is no run in .* to go on with"):
        run_here(make_spec(labels, tmp_path / "out", 2, resume=True))
    run_here(make_spec(labels, tmp_path / "out", 2))
    assert run_here(make_spec(labels, tmp_path / "out", 2, resume=True)).state is JobState.SUCCEEDED


@pytest.mark.soak
def test_a_run_killed_five_times_ends_the_same(labels: Path, tmp_path: Path, calm):
    kill_and_go_on(labels, tmp_path, calm, 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_after_the_step_and_nothing_is_repeated(labels: Path, tmp_path: Path, calm, number: int):
    out = tmp_path / "out"
    jobs, job = submit(tmp_path / "jobs", make_spec(labels, out, NUM_STEPS, save_every=NUM_STEPS))
    driver = start_driver(tmp_path / "jobs", job)
    while not any(event.kind == "training" for event in jobs.read_events(job)):
        time.sleep(0.05)
    os.kill(driver.pid or 0, number)
    driver.join(30)
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, record.message) == (JobState.CANCELLED, "interrupted")
    step = wait_for_state(out)
    assert record.progress.parts_done == step
    assert run_here(make_spec(labels, out, NUM_STEPS, save_every=NUM_STEPS)).state is JobState.SUCCEEDED
    assert [one.loss for one in read_metrics(LocalStore(out))] == [one.loss for one in calm]


def test_a_cancelled_run_keeps_its_state(labels: Path, tmp_path: Path):
    out = tmp_path / "out"
    jobs, job = submit(tmp_path / "jobs", make_spec(labels, out, 5000))
    driver = start_driver(tmp_path / "jobs", job)
    wait_for_state(out)
    asked = time.monotonic()
    jobs.request_cancel(job)
    driver.join(30)
    assert time.monotonic() - asked < 10
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, record.message) == (JobState.CANCELLED, "it was asked to stop")
    assert wait_for_state(out) == record.progress.parts_done


def test_a_finished_run_is_not_run_again(labels: Path, tmp_path: Path):
    spec = make_spec(labels, tmp_path / "out", 2)
    first, second = run_here(spec), run_here(spec)
    assert first.result is not None
    assert second.result is not None
    assert (first.result["steps_now"], second.result["steps_now"]) == (2, 0)
    assert first.result["last_loss"] == second.result["last_loss"]
    assert (first.result["images"], first.result["classes"]) == (7, 2)
    assert first.result["trainable"] == "heads"
    assert "7 images are fewer than 10,000" in first.result["regime"]


def flip_byte(label_set: Path) -> PretrainSpec:
    path = next((label_set / "data").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return make_spec(label_set, label_set.parent / "out", 2)


def refuse_own_classifier(label_set: Path) -> PretrainSpec:
    return make_spec(label_set, label_set.parent / "out", 2, classifier=None, weights=None)


def misname_value(label_set: Path) -> PretrainSpec:
    return make_spec(label_set, label_set.parent / "out", 2, changes={"num_step": "3"})


def name_no_recipe(label_set: Path) -> PretrainSpec:
    return make_spec(label_set, label_set.parent / "out", 2, recipe="pretrain-lapdog")


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (flip_byte, LabelSetError, "is damaged: its bytes are not those its name hashes"),
        (refuse_own_classifier, CheckpointError, "the classifier 'toy' of .* cannot be loaded"),
        (misname_value, InputError, "there is no value 'num_step' to change, perhaps num_steps"),
        (name_no_recipe, InputError, "pretrain-lapdog"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step(
    tmp_path: Path, spoil: Callable[[Path], PretrainSpec], kind: type[DapError], message: str
):
    make_mined_set(tmp_path, num_images=3)
    with pytest.raises(kind, match=message):
        run_here(spoil(tmp_path / "labels"))
    assert not (tmp_path / "out").exists()


def test_a_label_set_without_boxes_is_refused(tmp_path: Path):
    (tmp_path / "images" / "x0").mkdir(parents=True)
    (tmp_path / "images" / "x0" / "bad.png").write_bytes(b"no image")
    mine_folder(make_labeler(), tmp_path / "images", LocalStore(tmp_path / "labels"))
    assert open_label_set(tmp_path / "labels").manifest.counts.num_boxes == 0
    with pytest.raises(LabelSetError, match="has no box to train on"):
        run_here(make_spec(tmp_path / "labels", tmp_path / "out", 2))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images with two drawn classes, as CSV."""
    folder = tmp_path_factory.mktemp("drawn")
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for number in range(5):
        (folder / f"{number}.png").write_bytes(encode_image(make_pixels(120, 90, seed=number)))
        lines.append(f"{number}.png,120,90,{'cat' if number % 2 else 'dog'},10,10,{60 + number},70")
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n")
    return folder / "boxes.csv"


LAST = {"box_predictor.cls_score", "box_predictor.bbox_pred"}


@pytest.mark.parametrize(
    ("pretraining", "finetuning", "skipped", "reason"),
    [
        ({"class_agnostic": "false"}, {}, LAST, ""),
        ({}, {"transferred": "all"}, LAST, ""),
        ({}, {}, {*LAST, "box_head.fc6", "box_head.fc7"}, "it was trained on one class"),
    ],
)
def test_fine_tuning_takes_over_what_the_pre_training_allows_and_lists_its_shots(
    labels: Path,
    drawn: Path,
    tmp_path: Path,
    pretraining: dict[str, str],
    finetuning: dict[str, str],
    skipped: set[str],
    reason: str,
):
    short = {**CHANGES, "num_steps": "2"}
    run_here(make_spec(labels, tmp_path / "pre", 2, changes={**short, **pretraining}))
    spec = FinetuneSpec(
        checkpoint=str(tmp_path / "pre"),
        data=str(drawn),
        shots=2,
        out=str(tmp_path / "fine"),
        changes={**short, **finetuning},
        decoders=0,
    )
    result = run_here(spec).result
    assert result is not None
    assert (result["images"], result["classes"], result["class_agnostic"]) == (4, 2, False)
    assert {name.rpartition(".")[0] for name in result["tensors_skipped"]} == {f"roi_heads.{one}" for one in skipped}
    assert result["tensors_loaded"] > 50
    assert reason in result["regime"]
    assert '"k": 2' in (tmp_path / "fine" / "shots.json").read_text()


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"checkpoint": "nowhere"}, CheckpointError, "holds no detector"),
        ({"classifier": TINY, "weights": "random", "shots": 9}, SourceError, "at least 9 images of every class"),
        ({"classifier": TINY, "weights": "random", "class_map": {"cow": "dog"}}, SourceError, "no class 'cow'"),
        ({"classifier": "no-such-network"}, InputError, "no network 'no-such-network'"),
    ],
)
def test_fine_tuning_that_cannot_be_is_refused(
    drawn: Path, tmp_path: Path, fields: dict[str, object], kind: type[DapError], message: str
):
    if "checkpoint" in fields:
        fields = {"checkpoint": str(tmp_path / "nowhere")}
    spec = FinetuneSpec.model_validate({"data": str(drawn), "out": str(tmp_path / "out"), **fields})
    with pytest.raises(kind, match=message):
        run_here(spec)
    assert not (tmp_path / "out").exists()


@pytest.mark.cluster
@pytest.mark.parametrize("num_kills", [1, pytest.param(5, marks=pytest.mark.soak)])
def test_workers_on_ray_are_killed_and_the_run_ends(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_kills: int
):
    for name, value in RAY_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    out, num_steps = tmp_path / "out", 16 + 24 * num_kills
    jobs, job = submit(tmp_path / "jobs", make_spec(labels, out, num_steps, workers=2))
    driver = start_driver(tmp_path / "jobs", job)
    reached = 0
    for _ in range(num_kills):
        reached = wait_for_state(out, reached, timeout_s=120)
        os.kill(random.Random(reached).choice(find_workers(driver.pid or 0)), signal.SIGKILL)
    driver.join(240)
    assert driver.exitcode == 0
    assert [one.step for one in read_metrics(LocalStore(out))] == list(range(num_steps))
    begun = [event.values["step"] for event in jobs.read_events(job) if event.kind == "training"]
    assert len(begun) == num_kills + 1
    record = jobs.read_record(job)
    assert record is not None
    assert record.result is not None
    assert record.result["steps_now"] - num_steps <= SAVE_EVERY * num_kills + 1
    assert record.progress.parts_done == num_steps


def find_workers(driver: int) -> list[int]:
    """The processes that train."""
    processes = psutil.Process(driver).children(recursive=True)
    return [one.pid for one in processes if "RayTrainWorker" in " ".join(one.cmdline())]
