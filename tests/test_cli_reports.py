"""`dap stats`, `dap show` and `make demo` as a person runs them."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli import demo
from clients.cli.console import reports_errors
from clients.cli.main import app
from dap_core.label_sets import LabelSet, open_label_set
from tests.label_set_builders import make_block_cam, make_label_set, make_row


def run(*arguments: object) -> Result:
    """Runs `dap` with arguments in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})


@pytest.fixture
def label_set(tmp_path: Path) -> LabelSet:
    rows = [
        make_row("fine.png", [make_block_cam((10, 10, 19, 15))]),
        make_row("odd [bold].png", [make_block_cam((10, 10, 19, 15))], top1=1),
    ]
    return make_label_set(tmp_path / "labels", rows)


def test_stats_prints_both_tables_beside_the_papers(label_set: LabelSet) -> None:
    result = run("stats", label_set.store.uri)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "boxes per image 1.000 1.000 1.000 1.000 1.000",
        "paper 1.019 1.046 1.096 1.161 3.211",
        "boxes per image 1.000 1.000 1.000 1.000 1.000 4.000",
        "paper 2.047 2.308 2.661 3.211 3.966 4.321",
        "look at first: 1 of 2 images have a reason",
        "odd [bold].png",
    ):
        assert line in lines
    assert "2 images are few" in result.stdout


def test_stats_prints_json(label_set: LabelSet) -> None:
    values = json.loads(run("stats", label_set.store.uri, "--json", "--worst", "1").stdout)
    assert [column["name"] for column in values["sweeps"]["by_nms_iou"]] == ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert values["statistics"]["num_boxes"] == 2
    assert [item["key"] for item in values["look_at_first"]] == ["odd [bold].png"]


def test_stats_writes_figures(label_set: LabelSet, tmp_path: Path) -> None:
    assert run("stats", label_set.store.uri, "--plot", tmp_path / "figures").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["histograms.png", "sweeps.png"]


def test_stats_of_a_set_without_maps_says_what_is_missing(tmp_path: Path) -> None:
    rows = [make_row("a.png", [make_block_cam((10, 10, 19, 15))])]
    make_label_set(tmp_path / "labels", rows, store_cams=False)
    result = run("stats", tmp_path / "labels")
    assert result.exit_code == 0
    assert "holds no maps" in result.stderr
    assert "Table A1" not in result.stdout


@pytest.mark.soak
def test_the_demo_mines_real_photographs_into_a_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(tmp_path / "demo") == 0
    label_set = open_label_set(tmp_path / "demo" / "labels")
    rows = {row.key: row for row in label_set.rows()}
    assert set(rows) == set(demo.PHOTOS)
    assert all(len(row.boxes) for row in rows.values())
    cat = rows["chelsea.png"]
    assert label_set.classes[cat.top1].name == "Egyptian cat"
    left, top, right, bottom = cat.boxes.boxes[0]
    assert left < 225 < right  # the cat's face is in the middle of the photograph
    assert top < 150 < bottom
    assert (tmp_path / "demo" / "index.html").stat().st_size > 50_000
    printed = capsys.readouterr().out
    assert "6 labelled, 0 failed" in printed
    assert "motorcycle_left.png" in printed


@pytest.mark.parametrize("place", ["file", "file/in", "x" * 300], ids=["file", "in a file", "long"])
def test_figures_that_cannot_be_written_come_after_the_numbers(label_set: LabelSet, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("stats", label_set.store.uri, "--plot", tmp_path / place, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["statistics"]["num_images"] == 2
    assert result.stderr.count("\n") == 1
    assert "no figures can be written into" in result.stderr


def test_json_has_null_for_what_is_not_finite(label_set: LabelSet) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    values = json.loads(run("stats", label_set.store.uri, "--json").stdout, parse_constant=refuse)
    assert values["statistics"]["aspect"]["edges"][-1] is None


@pytest.mark.parametrize(
    "command",
    [
        ["stats", "LONG"],
        ["show", "LONG"],
        ["show", "SET", "--out", "LONG"],
        ["evaluate-boxes", "LONG", "--truth", "SET"],
        ["evaluate-boxes", "SET", "--truth", "LONG"],
        ["evaluate-boxes", "SET", "--truth", "SET/LONG", "--truth-format", "coco"],
        ["mine", "LONG", "--out", "SET/x"],
    ],
    ids=" ".join,
)
def test_a_path_that_is_too_long_is_one_line(label_set: LabelSet, command: list[str]) -> None:
    result = run(*(word.replace("SET", label_set.store.uri).replace("LONG", "x" * 300) for word in command))
    assert result.exit_code in (2, 4)
    assert isinstance(result.exception, SystemExit)
    assert re.fullmatch(r"error: .*x{300}.*\n", result.stderr)


def test_nobody_reading_the_output_is_no_error_to_report() -> None:
    @reports_errors
    def command() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        command()
