"""`dap evaluate-boxes` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.evaluate_boxes import parse_class_map
from clients.cli.main import app
from dap_core.label_sets import LabelSet
from tests.label_set_builders import make_block_cam, make_label_set, make_row


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})


@pytest.fixture
def label_set(tmp_path: Path) -> LabelSet:
    rows = [make_row(f"{name}.png", [make_block_cam((10, 10, 15, 15))]) for name in "abc"]
    return make_label_set(tmp_path / "labels", rows)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    path = tmp_path / "truth.csv"
    lines = ["path,xmin,ymin,xmax,ymax,label", "a.png,10,10,15,15,scarlet", "b.png,30,20,40,30,scarlet"]
    path.write_text("\n".join([*lines, "b.png,9,9,nan,14,scarlet", "d.png,1,1,5,5,green"]), encoding="utf-8")
    return path


def test_the_table_shows_values_intervals_and_the_floor(label_set: LabelSet, truth: Path):
    result = run("evaluate-boxes", label_set.store.uri, "--truth", truth, "--map", "scarlet=red")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("GT-known"))
    assert line.split() == ["GT-known", "localisation", "50.0%", "0.0%", "to", "100.0%", "0.0%"]
    assert "2 pairs of image and label with truth, of 3 images" in result.stdout


def test_what_finds_no_counterpart_is_counted_and_named(label_set: LabelSet, truth: Path):
    result = run("evaluate-boxes", label_set.store.uri, "--truth", truth, "--map", "scarlet=red")
    for said in (
        "1 classes of the truth stand for no label: green (1 boxes)",
        "1 problems in the truth: ",
        "1 images have no truth: c.png",
        "1 images of the truth are not in the label set: d.png",
    ):
        assert said in result.stderr
    assert "nan" in result.stderr


def test_json_holds_every_figure_and_every_name(label_set: LabelSet, truth: Path):
    result = run("evaluate-boxes", label_set.store.uri, "--truth", truth, "--map", "scarlet=red", "--json")
    found = json.loads(result.stdout)
    assert found["recipe"] == "pixel"
    assert found["metrics"]["gt_known_loc"]["value"] == 0.5
    assert found["truth"]["images_without_truth"] == ["c.png"]
    assert found["truth"]["unmapped_classes"] == {"green": 1}


def test_boxes_without_classes_are_truth_for_any_label(label_set: LabelSet, tmp_path: Path):
    path = tmp_path / "boxes.csv"
    path.write_text("path,xmin,ymin,xmax,ymax\na.png,10,10,14,14\n", encoding="utf-8")
    half_open = run("evaluate-boxes", label_set.store.uri, "--truth", path, "--json")
    inclusive = run("evaluate-boxes", label_set.store.uri, "--truth", path, "--inclusive", "--json")
    bias = [json.loads(result.stdout)["metrics"]["size_bias"]["value"] for result in (half_open, inclusive)]
    assert bias == pytest.approx([24**0.5 / 4 - 1, 24**0.5 / 5 - 1], abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no image of the label set has a drawn box of one of its labels"),
        (["--map", "crimson=red"], "the truth has no class crimson"),
        (["--map", "scarlet=rde"], "nearest: red"),
        (["--map", "scarlet"], "--map must be CLASS=LABEL"),
        (["--map", "missing.csv"], "missing.csv cannot be read"),
        (["--truth-format", "pascal"], "format must be one of"),
    ],
)
def test_a_wrong_use_is_one_line(label_set: LabelSet, truth: Path, options: list[str], message: str):
    result = run("evaluate-boxes", label_set.store.uri, "--truth", truth, *options)
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_missing_truth_is_one_line(label_set: LabelSet, tmp_path: Path):
    result = run("evaluate-boxes", label_set.store.uri, "--truth", tmp_path / "nowhere")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_a_map_may_be_a_file(tmp_path: Path):
    path = tmp_path / "map.csv"
    path.write_text("coco,wnid\ndog,n02\ndog,n03\n", encoding="utf-8")
    assert parse_class_map([str(path), "cat=n01,n04"]) == {"dog": ("n02", "n03"), "cat": ("n01", "n04")}
    path.write_text("dog\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: expected class,label"):
        parse_class_map([str(path)])
