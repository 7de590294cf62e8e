"""`dap plan --preview`: a sample labelled for real, as a person types it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from clients.cli.preview import draw_sample, find_labelled
from dap_core.datasets import open_source
from dap_core.errors import SourceError
from dap_core.label_sets import PlanRow, open_label_set, verify_label_set
from dap_core.stores import LocalStore
from tests.s3_servers import S3Server
from tests.test_cli_mine import FAST, run, write_photos

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary files are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def preview_json(*arguments: object) -> dict[str, Any]:
    result = run("plan", *arguments, *FAST, "--json")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)["preview"]
    return values


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def make_rows(*items: tuple[str, bool]) -> list[PlanRow]:
    return [PlanRow(key, "etag", 1, ("cup",) if has_label else ()) for key, has_label in items]


def test_a_sample_is_random_equal_for_equal_rows_and_never_larger_than_the_source() -> None:
    positions = list(range(5, 1005))
    sample = draw_sample(positions, 64)
    assert sample == draw_sample(positions, 64) == sorted(set(sample) & set(positions))
    assert len(sample) == 64
    assert 3 < sum(position < 255 for position in sample) < 30  # a quarter of the rows
    assert draw_sample([4, 9], 64) == [4, 9]


def test_only_labelled_images_are_drawn_and_the_first_row_of_a_key_counts() -> None:
    rows = make_rows(("a", True), ("b", False), ("a", True), ("b", True), ("c", True))
    assert find_labelled(rows) == [0, 4]
    with pytest.raises(SourceError, match="images that have a label, got 2 without"):
        find_labelled(make_rows(("a", False), ("b", False)))


def test_a_preview_leaves_a_page_and_estimates_the_rest(tmp_path: Path, scratch: Path) -> None:
    photos = write_photos(tmp_path / "photos", 8)
    before = list_files(photos)
    values = preview_json(photos, "--preview", 6)
    page = Path(values["page"])
    assert list_files(photos) == before
    assert list_files(scratch) == [page.relative_to(scratch).as_posix()]
    assert page.read_text(encoding="utf-8").count("<image href=") == 2 * 6
    assert (values["sample"], values["images"], values["ok"], values["images_to_label"]) == (6, 6, 6, 8)
    assert (values["failures_by_type"], values["label_set"], values["interrupted"]) == ({}, None, False)
    assert values["eta_s"] == pytest.approx(8 / values["images_per_s"], rel=0.01)
    assert run("mine", photos, "--out", tmp_path / "labels", *FAST).exit_code == 0
    [entry] = open_label_set(tmp_path / "labels").shards
    assert values["label_set_bytes"] == pytest.approx(entry.size, rel=0.25)


def test_failures_and_boxes_are_those_of_mining(tmp_path: Path, scratch: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", 3), tmp_path / "preview"
    (photos / "espresso" / "page.jpg").write_bytes(b"<html>")
    result = run("plan", photos, "--preview", 64, "--preview-out", out, *FAST)
    assert result.exit_code == 0, result.output
    label_set = open_label_set(out / "labels")
    assert verify_label_set(label_set) == []
    assert run("mine", photos, "--out", tmp_path / "labels", *FAST).exit_code == 3
    mined = {row.key: row.boxes.boxes.tolist() for row in open_label_set(tmp_path / "labels").rows()}
    assert {row.key: row.boxes.boxes.tolist() for row in label_set.rows()} == mined
    num_boxes = sum(map(len, mined.values()))
    for part in ("3 labelled, 1 failed", f"{num_boxes / 3:.2f} per image", "start included, over 4 images", " for 4 "):
        assert part in result.stdout
    assert f"look at it:  {out / 'preview.html'}\n" in result.stdout
    assert "1 x not-an-image, such as espresso/page.jpg" in result.stderr
    assert list_files(scratch) == []


def test_a_sample_without_a_single_labelled_image_ends_with_four(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "photos" / "cup").mkdir(parents=True)
    (tmp_path / "photos" / "cup" / "a.jpg").write_bytes(b"<html>")
    result = run("plan", tmp_path / "photos", "--preview", 3, *FAST)
    assert (result.exit_code, "0 labelled, 1 failed" in result.stdout) == (4, True), result.output


def test_a_source_that_mining_refuses_has_no_preview(tmp_path: Path, scratch: Path) -> None:
    photos = write_photos(tmp_path / "photos", 2)
    (photos / "espresso").rename(photos / "unicorn")
    result = run("plan", photos, "--preview", 2, "--json", *FAST)
    assert result.exit_code == 2
    assert (json.loads(result.stdout)["preview"], list_files(scratch)) == (None, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preview-out", "new"], "give --preview N with it"),
        (["--preview", "2", "--preview-out", "photos"], "photos is there already; a preview goes to a new or empty"),
        (["--preview", "2", "--preview-out", "photos/espresso/new"], "lies inside the source"),
        (["--preview", "2", "--preview-out", "labels/new"], "new lies inside the label set"),
        (["--preview", "2", "--recipe", "papre"], "there is no recipe 'papre'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_preview_cannot_do_is_one_clear_line(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    write_photos(tmp_path / "photos", 1)
    LocalStore(tmp_path / "labels").put("manifest.json", b"{}")
    monkeypatch.chdir(tmp_path)
    before = list_files(tmp_path)
    result = run("plan", "photos", *arguments)
    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (2, 1), result.output
    assert message in result.stderr
    assert list_files(tmp_path) == before


def test_a_bucket_is_sampled_and_stays_as_it_is(
    tmp_path: Path, scratch: Path, servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers["moto"].url)
    folder, bucket = write_photos(tmp_path / "photos", 4), servers["moto"].make_store("photos")
    for row in open_source([folder]).rows:
        bucket.put(row.key, (folder / row.key).read_bytes())
    before = list(bucket.list_objects())
    options = ["--images", "reference", "--no-cams", "--preview-out", tmp_path / "preview"]
    values = preview_json(bucket.uri, "--preview", 3, *options)
    assert (values["ok"], values["images_to_label"]) == (3, 4)
    assert Path(values["page"]).read_text(encoding="utf-8").count("<image href=") == 3  # no heat maps
    assert [row.image for row in open_label_set(values["label_set"]).rows(images=True)] == [None] * 3
    assert list(bucket.list_objects()) == before


@pytest.mark.e2e
def test_on_a_terminal_the_page_is_opened(tmp_path: Path, scratch: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "clients.cli.main", "plan", write_photos(tmp_path / "photos", 2)]
    terminal, inside = pty.openpty()
    environment = {**os.environ, "BROWSER": f"{browser} %s", "COLUMNS": "100"}
    with subprocess.Popen(
        [*command, "--preview", "2", *FAST], stdout=inside, stderr=inside, env=environment
    ) as process:
        os.close(inside)
        shown = read_terminal(terminal)
    [page] = scratch.glob("dap-preview-*/preview.html")
    assert process.returncode == 0, shown
    assert (tmp_path / "opened").read_text() == f"{page.as_uri()}\n"
    assert "2/2" in shown


def read_terminal(terminal: int) -> str:
    """All that is written to a terminal until its other end closes."""
    parts = []
    while True:
        try:
            parts.append(os.read(terminal, 4096))
        except OSError:
            os.close(terminal)
            return b"".join(parts).decode(errors="replace")


@pytest.mark.e2e
def test_an_interrupted_preview_says_what_was_seen_and_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    command = [sys.executable, "-m", "clients.cli.main", "plan", write_photos(tmp_path / "photos", 200)]
    arguments = ["--preview", "200", "--preview-out", tmp_path / "preview", "--engine", "torch"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, *arguments], **pipes) as process:
        while process.poll() is None and not list(scratch.glob("*/labels/plans/*.parquet")):
            time.sleep(0.05)
        time.sleep(1)  # far less than two hundred images take
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted\n"), output
    assert " not done" in output
    assert "look at it" not in output
    assert (list_files(scratch), (tmp_path / "preview").exists()) == ([], False)
