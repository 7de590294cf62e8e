"""`dap train-classifier` as a person types it, and what it makes wherever a classifier is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.classifier_checkpoints import read_classifier
from dap_core.classifiers import load_classifier
from dap_core.detectors import save_checkpoint
from dap_core.errors import ClassifierError
from dap_core.label_sets import open_label_set
from dap_core.stores import LocalStore
from services.labeling import make_labeler
from services.settings import read_settings
from tests.detector_builders import make_tiny_detector
from tests.mining_builders import write_colour_folder

TINY = ["--start", "timm/test_resnet", "--weights", "random", "--decoders", "0", "--holdout", "0.2"]
SHORT = [f"num_steps={30}", "batch_size=8", "crop_size=48", "short_side=64", "warmup_steps=2"]
QUICK = [*TINY, *(word for change in SHORT for word in ("--set", change))]
FAST = ["--scales", "64,96", "--engine", "torch", "--precision", "float32"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(*arguments: object) -> Result:
    """Runs `dap` with arguments in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_json(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    """The result that `dap` prints as JSON."""
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    return values


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty red and twenty blue rectangles, and one file that is no image."""
    folder = write_colour_folder(tmp_path_factory.mktemp("colours") / "photos", 40)
    (folder / "x0" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def trained(photos: Path) -> dict[str, Any]:
    """The result of training a small network from random weights."""
    return run_json("train-classifier", photos, "--out", photos.parent / "trained", *QUICK)


@pytest.fixture(scope="module")
def head(photos: Path, trained: dict[str, Any]) -> dict[str, Any]:
    """The result of fitting a last layer on the trained network."""
    out = photos.parent / "head"
    return run_json(
        "train-classifier", photos, "--start", trained["out"], "--head-only", "--short-side", "64", "--out", out
    )


def test_a_small_network_learns_red_from_blue(trained: dict[str, Any]):
    assert trained["last_loss"] < 0.5 * trained["first_loss"]
    assert trained["held_out"]["top1"] == 1
    assert (trained["recipe"], trained["classes"], trained["left_out"]) == ("classifier-laptop*", 2, 1)
    assert (trained["images"], trained["steps"]) == (32, 30)
    assert sum(one["images"] for one in trained["held_out"]["by_class"]) == trained["held_out"]["images"] >= 8


def test_the_checkpoint_names_network_classes_and_parents(trained: dict[str, Any]):
    stored = read_classifier(LocalStore(trained["out"]))
    assert (stored.network, stored.step, stored.recipe["num_steps"]) == ("timm/test_resnet", 30, 30)
    assert [item.wnid for item in stored.classes.classes] == ["x0", "x1"]
    assert set(stored.parents) == {"start", "data"}
    classifier = stored.make_classifier()
    by_file = load_classifier(
        "timm/test_resnet", weights=Path(trained["out"], "model.safetensors"), classes=stored.classes
    )
    assert classifier.name == by_file.name == "timm/test_resnet"
    assert classifier.weights_sha256 == by_file.weights_sha256
    assert torch.equal(classifier.weight, by_file.weight)


def test_the_same_command_again_does_nothing_and_another_one_is_refused(photos: Path, trained: dict[str, Any]):
    again = run_json("train-classifier", photos, "--out", trained["out"], *QUICK)
    assert (again["steps_now"], again["held_out"]) == (0, trained["held_out"])
    other = run("train-classifier", photos, "--out", trained["out"], *QUICK, "--seed", "1")
    assert other.exit_code == 2
    assert "seed is 1, was 0" in other.stderr.replace("\n", " ")


def test_a_last_layer_keeps_the_network_below_it(head: dict[str, Any], trained: dict[str, Any]):
    assert (head["recipe"], head["head_only"], head["held_out"]["top1"]) == ("linear-head", True, 1)
    before, after = (read_classifier(LocalStore(one["out"])) for one in (trained, head))
    changed = {name for name, value in after.tensors.items() if not torch.equal(value, before.tensors[name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert after.parents["start"] == before.make_classifier().weights_sha256


def test_a_finished_last_layer_is_not_fitted_again(photos: Path, head: dict[str, Any], trained: dict[str, Any]):
    path = Path(head["out"], "model.safetensors")
    before = path.stat().st_mtime_ns
    arguments = ["--start", trained["out"], "--head-only", "--short-side", "64", "--out", head["out"]]
    again = run_json("train-classifier", photos, *arguments)
    assert (again["images_now"], again["held_out"], path.stat().st_mtime_ns) == (0, head["held_out"], before)


def test_training_goes_on_from_a_layer_of_the_same_classes(photos: Path, head: dict[str, Any], tmp_path: Path):
    tuned = run_json(
        "train-classifier",
        photos,
        *("--start", head["out"], "--out", tmp_path / "tuned", "--decoders", "0"),
        *("--set", "num_steps=1", "--set", "batch_size=8", "--set", "crop_size=48", "--set", "lr=1e-9"),
    )
    before, after = (read_classifier(LocalStore(one["out"])) for one in (head, tuned))
    assert torch.allclose(before.tensors["fc.weight"], after.tensors["fc.weight"], atol=1e-5)


def test_mining_draws_maps_with_it_and_records_it(photos: Path, head: dict[str, Any], tmp_path: Path):
    result = run_json("mine", photos, "--classifier", head["out"], "--out", tmp_path / "labels", *FAST, exit_code=3)
    assert (result["ok"], result["failed"], result["agreeing"]) == (40, 1, 40)
    settings = open_label_set(tmp_path / "labels").manifest.settings
    assert settings.classifier == "timm/test_resnet"
    assert settings.weights_sha256 == read_classifier(LocalStore(head["out"])).make_classifier().weights_sha256
    assert [item.wnid for item in settings.classes.classes] == ["x0", "x1"]


def test_plan_and_service_take_it(photos: Path, head: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(photos.parent)
    assert run("plan", "photos", "--classifier", "head").exit_code == 0
    refused = run("plan", "photos")
    assert "more than 5% are refused" in refused.output.replace("\n", " ")
    labeler = make_labeler(read_settings({}, classifier=head["out"], precision="float32", engine="torch"))
    [image] = labeler([photos / "x1" / "image 001.png"], ["auto"])
    assert labeler.classifier.classes[image.labels[0]].wnid == "x1"


def test_places_that_hold_no_classifier_are_told_apart(photos: Path, trained: dict[str, Any], tmp_path: Path) -> None:
    missing = run("mine", photos, "--classifier", tmp_path, "--out", tmp_path / "a")
    assert missing.exit_code == 2
    assert "holds no classifier" in missing.stderr.replace("\n", " ")
    doubled = run("mine", photos, "--classifier", trained["out"], "--weights", "random", "--out", tmp_path / "b")
    assert doubled.exit_code == 2
    assert "has its own weights and classes" in doubled.stderr.replace("\n", " ")
    save_checkpoint(LocalStore(tmp_path / "detector"), "", make_tiny_detector(), step=1, recipe={})
    with pytest.raises(ClassifierError, match="a checkpoint of kind classifier expected, got 'faster_rcnn'"):
        read_classifier(LocalStore(tmp_path / "detector"))


def test_a_damaged_classifier_is_refused(trained: dict[str, Any], tmp_path: Path):
    store, damaged = LocalStore(trained["out"]), LocalStore(tmp_path)
    tensors = bytearray(store.get("model.safetensors"))
    tensors[-10] ^= 1
    damaged.put("checkpoint.json", store.get("checkpoint.json"))
    damaged.put("model.safetensors", bytes(tensors))
    with pytest.raises(ClassifierError, match=r"is not what checkpoint\.json names"):
        read_classifier(damaged)
    damaged.put("model.safetensors", bytes(tensors[:100]))
    with pytest.raises(ClassifierError, match="is damaged"):
        read_classifier(damaged)


def test_a_source_of_bad_images_is_refused(tmp_path: Path):
    folder = write_colour_folder(tmp_path / "photos", 10)
    for number in range(2):
        (folder / "x1" / f"bad {number}.png").write_bytes(b"no image")
    result = run("train-classifier", folder, "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == 4
    assert "cannot be used, such as x1/bad" in result.stderr.replace("\n", " ")


def test_the_printed_job_and_a_wrong_one(photos: Path, tmp_path: Path):
    printed = run("train-classifier", photos, "--head-only", "--out", tmp_path / "out", "--print-spec")
    values = json.loads(printed.stdout)
    assert (values["kind"], values["start"], values["head_only"], values["holdout"]) == (
        "train-classifier",
        "lite0",
        True,
        0.1,
    )
    wrong = run("train-classifier", photos, "--head-only", "--set", "num_steps=3", "--out", tmp_path / "out")
    assert wrong.exit_code == 2
    assert "fitted without a recipe; leave out num_steps" in wrong.stderr.replace("\n", " ")
    unknown = run("train-classifier", photos, "--set", "steps=3", "--out", tmp_path / "out", *TINY)
    assert unknown.exit_code == 2
    random = run("train-classifier", photos, "--head-only", "--out", tmp_path / "out", *TINY)
    assert "weights are random" in random.stderr.replace("\n", " ")
