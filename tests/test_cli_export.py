"""`dap export` and `dap mine --map` as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.export import ExportFormat, VocFlavorName
from clients.cli.main import app
from dap_core import exports
from dap_core.datasets.voc import VOC_FLAVORS
from dap_core.exports import EXPORTERS
from dap_core.stores import LocalStore
from tests.export_builders import encode_plain, make_boxes_row, make_ugly_set
from tests.label_set_builders import make_label_set
from tests.s3_servers import S3Server


def run(*arguments: object) -> Result:
    """Runs `dap` with arguments in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_the_command_offers_every_format_and_flavour() -> None:
    assert [item.value for item in ExportFormat] == list(EXPORTERS) == list(get_args(exports.ExportFormat))
    assert [item.value for item in VocFlavorName] == list(VOC_FLAVORS)


@pytest.mark.parametrize("format_", EXPORTERS)
def test_an_export_says_what_it_wrote(tmp_path: Path, format_: str) -> None:
    make_ugly_set(tmp_path / "labels")
    result = run("export", tmp_path / "labels", "--format", format_, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert f"14 images with 26 boxes written to {tmp_path / 'out'}, 1 failed images left out" in result.stdout
    assert ("no place for" in result.stdout) == (format_ in ("voc", "yolo", "label-studio"))


def test_json_gives_every_number(tmp_path: Path) -> None:
    make_ugly_set(tmp_path / "labels")
    options = ("--format", "voc", "--voc-flavor", "plus-one", "--min-score", 0.5, "--classes", "all", "--json")
    result = run("export", tmp_path / "labels", "--out", tmp_path / "out", *options)
    report = json.loads(result.stdout)
    assert (report["num_images"], report["num_boxes"], report["num_boxes_left_out"]) == (14, 13, 13)
    assert (report["num_classes"], report["num_renamed"], report["format"]) == (8, 11, "voc")
    assert "13 boxes of a lower score left out" in result.stderr
    assert "names.csv says which is which" in result.stderr


def test_links_that_became_copies_and_rotated_images_are_warned_of(tmp_path: Path) -> None:
    rows = [make_boxes_row("a.png", [(0, 0, 9, 9)]), make_boxes_row("b.png", exif_orientation=6)]
    make_label_set(tmp_path / "labels", rows)
    linked = run("export", tmp_path / "labels", "--images", "link", "--out", tmp_path / "linked")
    assert "2 images copied" in linked.stderr
    bare = run("export", tmp_path / "labels", "--images", "none", "--out", tmp_path / "bare")
    assert "1 images carry an EXIF orientation" in bare.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--min-score", "nan"), "min_score: Input should be a finite number, got nan"),
        (("--format", "tfrecord"), "tfrecord"),
    ],
)
def test_wrong_use_is_refused(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    make_label_set(tmp_path / "labels", [make_boxes_row("a.png")])
    result = run("export", tmp_path / "labels", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("entry", "message"),
    [("kangaroo", "--map must be CLASS=LABEL, got 'kangaroo'"), ("=x", "got '=x'"), ("dog=cat", "no class 'dog'")],
)
def test_a_map_that_fits_nothing_is_refused_before_anything_is_loaded(tmp_path: Path, entry: str, message: str) -> None:
    (tmp_path / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\na.png,cat,0,0,9,9\n")
    (tmp_path / "a.png").write_bytes(b"")
    result = run("mine", tmp_path / "boxes.csv", "--map", entry, "--out", tmp_path / "labels")
    assert result.exit_code == 2
    assert message in result.stderr


def test_recutting_into_the_label_set_is_refused(tmp_path: Path) -> None:
    make_label_set(tmp_path / "labels", [make_boxes_row("a.png")])
    result = run("recut", tmp_path / "labels", "--out", tmp_path / "labels" / "cut")
    assert result.exit_code == 2
    assert "lies inside the label set" in result.stderr
    assert not (tmp_path / "labels" / "cut").exists()


def test_a_file_name_that_cannot_be_is_one_failure_and_the_rest_is_mined(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_plain((60, 40)))
    lines = ["path,label", "a.png,cup", f"{'x' * 300}.png,cup", "nul\0.png,cup"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    result = run("mine", tmp_path / "list.csv", "--scales", "64", "--out", tmp_path / "label [set] ü")
    assert result.exit_code == 3
    assert "1 labelled, 2 failed" in result.stdout
    assert "2 x unreadable-file" in result.stderr
    quoted = f"'{tmp_path / 'label [set] ü'}'"
    assert f"dap show {quoted}   dap stats {quoted}" in result.stdout


def test_an_export_goes_to_a_bucket_and_a_second_time_finds_all_there(
    tmp_path: Path, servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_ugly_set(tmp_path / "labels")
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers["juicefs"].url)
    store = servers["juicefs"].make_store("coco")
    for _ in range(2):
        result = run("export", tmp_path / "labels", "--out", store.uri, "--json")
        assert result.exit_code == 0, result.stderr
    assert run("export", tmp_path / "labels", "--out", tmp_path / "coco").exit_code == 0
    local = LocalStore(tmp_path / "coco")
    assert {one.key for one in store.list_objects()} == {one.key for one in local.list_objects()}
    assert all(store.get(one.key) == local.get(one.key) for one in local.list_objects())
    store.put("other.txt", b"mine")
    refused = run("export", tmp_path / "labels", "--out", store.uri)
    assert (refused.exit_code, "holds other objects, such as other.txt" in refused.stderr) == (2, True)
    linked = run("export", tmp_path / "labels", "--out", store.uri, "--images", "link")
    assert (linked.exit_code, "links need a local folder" in linked.stderr) == (2, True)
