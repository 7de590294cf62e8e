"""`dap mine --extend`, `--retry-failed` and `--labelers` as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dap_core.label_sets import open_label_set, verify_label_set
from tests.service_builders import RAY_ENVIRONMENT
from tests.test_cli_mine import FAST, run, write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, one file that is none, and their label set in `labels`."""
    folder = write_photos(tmp_path / "photos")
    (folder / "espresso" / "bad.png").write_bytes(b"<html>")
    assert run("mine", folder, "--out", tmp_path / "labels", *FAST).exit_code == 3
    return folder


def test_new_images_are_added_and_failed_ones_tried_again(photos: Path, tmp_path: Path):
    labels = tmp_path / "labels"
    picture = (photos / "espresso" / "0.png").read_bytes()
    (photos / "espresso" / "new.png").write_bytes(picture)
    refused = run("mine", photos, "--out", labels, *FAST)
    assert (refused.exit_code, "add new images with --extend" in refused.output.replace("\n", " ")) == (2, True)
    added = json.loads(run("mine", photos, "--out", labels, *FAST, "--extend", "--json").stdout)
    assert (added["mined_now"], added["images"], added["ok"], added["failed"]) == (1, 5, 4, 1)
    (photos / "espresso" / "bad.png").write_bytes(picture)
    mended = json.loads(run("mine", photos, "--out", labels, *FAST, "--retry-failed", "--json").stdout)
    assert (mended["mined_now"], mended["images"], mended["ok"], mended["failed"]) == (1, 5, 5, 0)
    assert "nothing was left to do" in run("mine", photos, "--out", labels, *FAST, "--retry-failed").stdout
    assert run("verify", labels).exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--extend", "--retry-failed"], "are two runs; give one of them"),
        (["--ray", "auto"], "say how many with --labelers"),
    ],
)
def test_options_that_do_not_go_together_are_refused(photos: Path, tmp_path: Path, options: list[str], message: str):
    result = run("mine", photos, "--out", tmp_path / "labels", *FAST, *options)
    assert (result.exit_code, message in result.output.replace("\n", " ")) == (2, True)


def test_growing_needs_a_label_set(photos: Path, tmp_path: Path):
    result = run("mine", photos, "--out", tmp_path / "none", *FAST, "--extend")
    assert (result.exit_code, "holds no label set yet" in result.output) == (2, True)


@pytest.mark.cluster
def test_a_pool_on_ray_makes_what_one_process_makes(photos: Path, tmp_path: Path):
    command = [sys.executable, "-m", "clients.cli.main", "mine", str(photos), "--out", str(tmp_path / "pool")]
    result = subprocess.run(
        [*command, *FAST, "--labelers", "2", "--json"],
        env={**os.environ, **RAY_ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    values = json.loads(result.stdout)
    assert (values["ok"], values["failures_by_type"], values["mined_now"]) == (3, {"not-an-image": 1}, 4)
    pool, alone = open_label_set(tmp_path / "pool"), open_label_set(tmp_path / "labels")
    assert verify_label_set(pool) == []
    assert [entry.data for entry in pool.shards] == [entry.data for entry in alone.shards]
