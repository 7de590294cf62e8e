"""`dap show` as a person types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.gallery import render_gallery, render_sweep, render_worst
from dap_core.label_sets import open_label_set
from tests.mining_builders import make_mined_set


def run(*arguments: object) -> Result:
    """Runs `dap show` with arguments in this process."""
    return CliRunner().invoke(app, ["show", *map(str, arguments)])


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small label set in a folder of its own."""
    root = tmp_path_factory.mktemp("show")
    make_mined_set(root)
    return root / "labels"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "labels.html"),
        (["--worst", 3], "labels-worst.html"),
        (["--sweep", "thresholds"], "labels-thresholds.html"),
        (["--sweep", "nms"], "labels-nms.html"),
    ],
    ids=["gallery", "worst", "thresholds", "nms"],
)
def test_the_page_is_written_next_to_the_label_set(labels: Path, arguments: list[object], name: str) -> None:
    before = sorted(labels.rglob("*"))
    result = run(labels, *arguments)
    page = labels.parent / name
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{page}  {page.stat().st_size / 1e6:.1f} MB\n"
    assert sorted(labels.rglob("*")) == before
    label_set = open_label_set(labels)
    expected = {
        "labels.html": lambda: render_gallery(label_set),
        "labels-worst.html": lambda: render_worst(label_set, num_images=3),
        "labels-thresholds.html": lambda: render_sweep(label_set, "thresholds"),
        "labels-nms.html": lambda: render_sweep(label_set, "nms"),
    }
    assert page.read_text(encoding="utf-8") == expected[name]()


def test_out_num_and_json(labels: Path, tmp_path: Path) -> None:
    page = tmp_path / "new folder" / "page.html"
    result = run(labels, "--out", page, "--num", 2, "--no-open", "--json")
    assert result.exit_code == 0
    size = page.stat().st_size
    assert json.loads(result.stdout) == {"label_set": str(labels), "page": str(page), "bytes": size, "kind": "gallery"}
    assert page.read_text(encoding="utf-8") == render_gallery(open_label_set(labels), num_images=2)


def test_an_earlier_page_is_replaced(labels: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    assert run(labels, "--out", page).exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [page]


def test_a_relative_path_with_dots_names_the_page_after_the_folder(
    labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(labels)
    result = run(".", "--json")
    assert json.loads(result.stdout)["page"] == str(labels.parent / "labels.html")


def test_open_asks_for_the_browser(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    page = tmp_path / "a page.html"
    assert run(labels, "--out", page, "--open").exit_code == 0
    assert opened == [page.as_uri()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--worst", 3, "--num", 2], "leave out --num and --sweep"),
        (["--worst", 3, "--sweep", "nms"], "leave out --num and --sweep"),
        (["--sweep", "sideways"], "'sideways' is not one of"),
        (["--num", 0], "greater than or equal to 1"),
        (["--worst", 501], "less than or equal to 500"),
    ],
    ids=["worst and num", "worst and sweep", "unknown sweep", "no images", "too many"],
)
def test_wrong_use_is_one_clear_message(labels: Path, arguments: list[object], message: str) -> None:
    result = run(labels, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output


def test_a_page_inside_the_label_set_or_over_a_folder_is_refused(labels: Path, tmp_path: Path) -> None:
    for out, message in ((labels / "page.html", "lies inside the label set"), (tmp_path, "is a folder")):
        result = run(labels, "--out", out)
        assert result.exit_code == 2
        assert message in result.stderr


def test_a_place_that_cannot_be_written_is_refused(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(labels, "--out", tmp_path / "file" / "page.html")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_what_is_no_label_set_ends_with_4(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty")
    assert result.exit_code == 4
    assert "is no label set" in result.stderr
    assert not (tmp_path / "empty.html").exists()


def test_a_sweep_without_maps_is_refused(tmp_path: Path) -> None:
    make_mined_set(tmp_path, num_images=1, store_cams=False)
    result = run(tmp_path / "labels", "--sweep", "nms")
    assert result.exit_code == 2
    assert "without storing maps" in result.stderr


def test_a_partial_set_is_shown_with_a_warning(labels: Path, tmp_path: Path) -> None:
    copy = tmp_path / "labels"
    shutil.copytree(labels, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["segments"][0]["shards"][1:]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    result = run(copy)
    assert result.exit_code == 0
    assert "partial: 4 images are still to be labelled" in result.stderr
    assert "partial" in (tmp_path / "labels.html").read_text(encoding="utf-8")
