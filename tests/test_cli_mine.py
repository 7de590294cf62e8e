"""`dap mine`, `recut`, `export` and `verify` as a person types them, with the bundled classifier."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.label_sets import open_label_set
from tests.builders import encode_image, make_scene

FAST = ["--scales", "64,96", "--engine", "torch", "--precision", "float32"]


def run(*arguments: object) -> Result:
    """Runs `dap` with arguments in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_photos(folder: Path, num_images: int = 3) -> Path:
    """An ImageNet-style folder of small pictures."""
    for index in range(num_images):
        path = folder / ("n02124075" if index % 2 else "espresso") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(make_scene((160 + index, 120), (30, 30, 90, 90), (200, 150, 100))))
    return folder


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label set that `dap mine` made of three pictures."""
    folder = tmp_path_factory.mktemp("mined")
    result = run("mine", write_photos(folder / "photos"), "--out", folder / "labels", *FAST)
    assert result.exit_code == 0, result.output
    return folder / "labels"


def test_mining_prints_what_it_made_and_what_to_do_next(mined: Path, tmp_path: Path) -> None:
    result = run("mine", mined.parent / "photos", "--out", tmp_path / "labels", *FAST)
    assert result.exit_code == 0
    for line in ("3 labelled, 0 failed", "aligned*, lite0 on torch float32", f"dap show {tmp_path / 'labels'}"):
        assert line in result.stdout.replace("\n", "")


def test_mining_prints_json_and_nothing_else_on_stdout(mined: Path, tmp_path: Path) -> None:
    result = run("mine", mined.parent / "photos", "--out", tmp_path / "labels", *FAST, "--json")
    values = json.loads(result.stdout)
    assert (values["images"], values["ok"], values["failed"], values["state"]) == (3, 3, 0, "complete")
    assert values["boxes"] == open_label_set(tmp_path / "labels").manifest.counts.num_boxes


def test_mining_again_finds_nothing_left_to_do(mined: Path) -> None:
    result = run("mine", mined.parent / "photos", "--out", mined, *FAST, "--json")
    assert (result.exit_code, json.loads(result.stdout)["mined_now"]) == (0, 0)


def test_labels_are_found_by_wnid_and_by_name(mined: Path) -> None:
    label_set = open_label_set(mined)
    wnids = {row.key: label_set.classes[row.labels[0]].wnid for row in label_set.rows()}
    assert wnids == {"espresso/0.png": "n07920052", "n02124075/1.png": "n02124075", "espresso/2.png": "n07920052"}


def test_auto_takes_the_first_choice_of_the_classifier(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 1)
    assert run("mine", photos, "--label", "auto", "--out", tmp_path / "labels", *FAST).exit_code == 0
    [row] = open_label_set(tmp_path / "labels").rows()
    assert row.labels == (row.top1,)


def test_several_labels_of_image_files_are_all_mined(tmp_path: Path) -> None:
    photo = next(write_photos(tmp_path / "photos", 1).rglob("*.png"))
    labels = ["--label", "espresso", "--label", "968"]
    assert run("mine", photo, *labels, "--out", tmp_path / "labels", *FAST).exit_code == 0
    [row] = open_label_set(tmp_path / "labels").rows()
    assert row.labels == (967, 968)
    assert set(row.boxes.labels.tolist()) == {967, 968}


def test_bad_images_end_with_three_and_are_listed(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 2)
    (photos / "espresso" / "page.jpg").write_bytes(b"<html>")
    result = run("mine", photos, "--out", tmp_path / "labels", *FAST)
    assert result.exit_code == 3
    assert "1 x not-an-image, such as espresso/page.jpg" in result.stderr
    assert "2 labelled, 1 failed" in result.stdout


def test_one_file_listed_twice_is_labelled_once(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 1)
    (photos / "list.csv").write_text("espresso/0.png,espresso\n./espresso/0.png,cup\n")
    result = run("mine", photos / "list.csv", "--out", tmp_path / "labels", *FAST, "--json")
    values = json.loads(result.stdout)
    assert (result.exit_code, values["ok"], values["failures_by_type"]) == (3, 1, {"duplicate-key": 1})


def test_nothing_but_bad_images_ends_with_four(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cup").mkdir(parents=True)
    (tmp_path / "photos" / "cup" / "empty.jpg").write_bytes(b"")
    assert run("mine", tmp_path / "photos", "--out", tmp_path / "labels", *FAST).exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "papre"], "there is no recipe 'papre'; known: paper"),
        (["--classifier", "resnet5000"], "no network 'resnet5000'"),
        (["--weights", "none.pth"], "none.pth does not exist"),
        (["--scales", "big"], "--scales must be numbers separated by commas, got 'big'"),
        (["--scales", "64,64"], "different short sides"),
        (["--scales", "8"], "32 to 4096"),
        (["--thresholds", "0.2,1.5"], "numbers in [0, 1)"),
        (["--nms-iou", "2"], "must lie in [0, 1]"),
        (["--device", "abacus"], "abacus"),
        (["--device", "cuda:7"], "cuda:7"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_bad_argument_is_one_clear_line(mined: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    if arguments[-1].startswith("cuda") and torch.cuda.device_count() > 7:
        pytest.skip("this machine has that device")
    result = run("mine", mined.parent / "photos", "--out", tmp_path / "labels", *arguments)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert message in result.stderr
    assert not (tmp_path / "labels").exists()


def test_a_destination_in_use_or_inside_the_source_is_refused(mined: Path) -> None:
    photos = mined.parent / "photos"
    for out, message in ((photos / "labels", "lies inside the source"), (mined.parent, "not empty and no label set")):
        result = run("mine", photos, "--out", out, *FAST)
        assert (result.exit_code, message in result.stderr) == (2, True)
    result = run("mine", photos, "--out", mined, "--scales", "64")
    assert result.exit_code == 2
    assert "recipe.cam.short_sides is (64,), was (64, 96)" in result.stderr


def test_recut_writes_a_new_set_and_says_so(mined: Path, tmp_path: Path) -> None:
    result = run("recut", mined, "--thresholds", "0.5", "--out", tmp_path / "cut", "--json")
    values = json.loads(result.stdout)
    assert (result.exit_code, values["images"]) == (0, 3)
    assert {box.threshold for row in open_label_set(tmp_path / "cut").rows() for box in row.boxes} == {0.5}
    assert "3 images cut again" in run("recut", mined, "--out", tmp_path / "again").stdout


def test_export_writes_coco(mined: Path, tmp_path: Path) -> None:
    result = run("export", mined, "--format", "coco", "--out", tmp_path / "coco", "--json")
    assert (result.exit_code, json.loads(result.stdout)["num_images"]) == (0, 3)
    assert (tmp_path / "coco" / "annotations.json").is_file()


def test_verify_tells_sound_partial_and_damaged_apart(mined: Path, tmp_path: Path) -> None:
    assert run("verify", mined).exit_code == 0
    assert run("recut", mined, "--out", tmp_path / "cut").exit_code == 0
    manifest = tmp_path / "cut" / "manifest.json"
    values = json.loads(manifest.read_text())
    [entry] = values["segments"][0]["shards"]
    manifest.write_text(json.dumps({**values, "segments": [{**values["segments"][0], "shards": []}]}))
    assert run("verify", tmp_path / "cut").exit_code == 3
    manifest.write_text(json.dumps(values))
    (tmp_path / "cut" / entry["data"]).unlink()
    damaged = run("verify", tmp_path / "cut", "--json")
    assert (damaged.exit_code, len(json.loads(damaged.stdout)["problems"])) == (4, 1)


def test_what_is_no_label_set_fails_in_one_line(tmp_path: Path) -> None:
    for command in (["verify"], ["recut", "--out", tmp_path / "x"], ["export", "--out", tmp_path / "y"]):
        result = run(command[0], tmp_path, *command[1:])
        assert result.exit_code == 4
        assert re.fullmatch(r"error: .* is no label set: it has no manifest.json\n", result.stderr)


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from clients.cli.main import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_interrupting_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 40)
    command = [sys.executable, "-m", "clients.cli.main", "mine", photos, "--out", tmp_path / "labels"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while process.poll() is None and not list(tmp_path.glob("labels/plans/*.parquet")):
            time.sleep(0.05)
        time.sleep(1)  # far less than forty images take
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"to go on: dap mine {photos} --out {tmp_path / 'labels'}" in errors
    assert open_label_set(tmp_path / "labels", allow_partial=True).manifest.state == "partial"
