"""`dap evaluate-boxes` as a person runs it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.class_maps import parse_class_map
from clients.cli.main import app
from dap_core.exports import ExportOptions, export_label_set
from dap_core.label_sets import LabelSet
from tests.export_builders import encode_plain, make_boxes_row
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
    path.write_text("class , label\n dog , n02 \n\ncat,\nbird, \n", encoding="utf-8")
    assert parse_class_map([str(path), "cow=", "pig= n05 , "]) == {
        "dog": ("n02",),
        "cat": (),
        "bird": (),
        "cow": (),
        "pig": ("n05",),
    }


def test_a_file_of_a_map_may_have_any_name(tmp_path: Path):
    path = tmp_path / "a=b.csv"
    path.write_text("dog,n02\n", encoding="utf-8")
    assert parse_class_map([str(path)]) == {"dog": ("n02",)}
    assert parse_class_map(["dog=" + "x" * 300 + ".csv"]) == {"dog": ("x" * 300 + ".csv",)}


def test_json_of_nothing_to_measure_comes_before_the_error_alone(label_set: LabelSet, truth: Path):
    result = run("evaluate-boxes", label_set.store.uri, "--truth", truth, "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["recipe"], found["metrics"]) == (2, "pixel", {})
    assert found["truth"]["unmapped_classes"] == {"scarlet": 2, "green": 1}
    assert result.stderr.count("\n") == 1


def test_figures_that_nothing_overlaps_are_null_and_a_dash(label_set: LabelSet, tmp_path: Path):
    path = tmp_path / "far.csv"
    path.write_text("path,xmin,ymin,xmax,ymax\na.png,50,30,60,40\n", encoding="utf-8")
    printed = run("evaluate-boxes", label_set.store.uri, "--truth", path, "--json").stdout
    assert "NaN" not in printed
    assert json.loads(printed)["metrics"]["dx"]["value"] is None
    table = run("evaluate-boxes", label_set.store.uri, "--truth", path).stdout
    assert "nan" not in table
    assert next(line.split() for line in table.splitlines() if line.startswith("dx"))[-3:] == ["-", "to", "-"]


def test_a_set_without_maps_says_what_cannot_be_measured(tmp_path: Path, truth: Path):
    rows = [make_row("a.png", [make_block_cam((10, 10, 15, 15))])]
    make_label_set(tmp_path / "labels", rows, store_cams=False)
    result = run("evaluate-boxes", tmp_path / "labels", "--truth", truth, "--map", "scarlet=red")
    assert result.exit_code == 0
    assert "the label set holds no maps, so MaxBoxAcc cannot be measured" in result.stderr
    assert "MaxBoxAcc" not in result.stdout


def test_boxes_that_stick_out_are_ignored_or_found_by_name_are_told(label_set: LabelSet, tmp_path: Path):
    lines = ["<annotation><filename>in/a.png</filename>"]
    for corners, difficult in (((10, 10, 15, 15), 0), ((50, 30, 99, 99), 0), ((20, 20, 30, 30), 1)):
        tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        box = "".join(f"<{tag}>{side}</{tag}>" for tag, side in tags)
        lines.append(f"<object><name>red</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>")
    (tmp_path / "a.xml").write_text("".join([*lines, "</annotation>"]))
    result = run("evaluate-boxes", label_set.store.uri, "--truth", tmp_path / "a.xml")
    assert "1 images have another key in the truth and were found by the end of their path" in result.stdout
    assert "1 problems in the truth: in/a.png box 2: box (49, 29, 99, 99) sticks out" in result.stderr
    assert "1 boxes are difficult or crowds and do not count: a.png: red" in result.stderr


def test_readers_are_given_their_options(label_set: LabelSet, tmp_path: Path):
    box = "<xmin>11</xmin><ymin>11</ymin><xmax>16</xmax><ymax>16</ymax>"
    item = f"<object><name>red</name><bndbox>{box}</bndbox></object>"
    (tmp_path / "a.xml").write_text(f"<annotation><filename>a.png</filename>{item}</annotation>")
    objects = {"bbox": [[10.0, 10.0, 15.0, 15.0]], "label": ["red"]}
    pq.write_table(pa.Table.from_pylist([{"key": "a.png", "objects": objects}]), tmp_path / "a.parquet")
    for truth, options in (("a.xml", ["--voc-flavor", "plus-one"]), ("a.parquet", ["--box-format", "xyxy"])):
        result = run("evaluate-boxes", label_set.store.uri, "--truth", tmp_path / truth, *options, "--json")
        assert json.loads(result.stdout)["metrics"]["size_bias"]["value"] == pytest.approx(24**0.5 / 5 - 1, abs=1e-6)
    wrong = run("evaluate-boxes", label_set.store.uri, "--truth", tmp_path / "a.xml", "--box-format", "xyxy")
    assert (wrong.exit_code, "the reader of voc has no option box_format" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("format_", ["yolo", "fiftyone"])
def test_sizes_come_from_where_the_set_was_mined_unless_told(tmp_path: Path, format_: str):
    row = replace(make_boxes_row("in/a.png", [(10, 10, 30, 30)], size_wh=(64, 48)), labels=(0,))
    label_set = make_label_set(tmp_path / "labels", [row], source=str(tmp_path / "source"), store_cams=False)
    export_label_set(label_set, tmp_path / "out", format_, ExportOptions(images="none"))
    arguments = ("evaluate-boxes", tmp_path / "labels", "--truth", tmp_path / "out")
    assert "has no image of this name" in run(*arguments).stderr
    for folder, options in (("moved", ("--image-root", tmp_path / "moved")), ("source", ())):
        (tmp_path / folder / "in").mkdir(parents=True)
        (tmp_path / folder / "in" / "a.png").write_bytes(encode_plain((64, 48)))
        result = run(*arguments, *options, "--json")
        assert json.loads(result.stdout)["metrics"]["gt_known_loc"]["value"] == 1
