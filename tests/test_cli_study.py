"""`dap study` as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from services.studies.synthetic_data import make_synthetic_data


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


def test_without_a_name_the_studies_are_listed() -> None:
    result = run()
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("kshot", "convergence", "self-training", "figures 3 and 4"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kshots", "--size", "smallest"), "there is no study 'kshots'; there are full, scale, kshot"),
        (("kshot", "--data", "nowhere"), "has no imagenet-320; expected imagenet-320, kangaroo, tiny-imagenet.tar.gz"),
        (("kshot", "--labelled", "a", "--test", "b"), "--drawn, --validation is missing"),
        (("kshot", "--shots", "five"), "--shots must be numbers"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "STUDY = 3"])
def test_a_file_without_a_study_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    result = run(tmp_path / "mine.py", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "holds no STUDY" in result.stderr


STUDY = """
from pathlib import Path
from dataclasses import replace
from services.studies.catalog import make_named_study
from services.studies.synthetic_data import make_synthetic_data

STUDY = replace(make_named_study("kshot", make_synthetic_data(Path({data!r}))), name="mine", question="Ours?")
"""


@pytest.mark.soak
def test_killed_on_ray_and_run_again_it_gives_the_results_of_a_run_that_nothing_happened_to(tmp_path: Path) -> None:
    """The calm run is in one process, the other one on Ray; both know the same images, in a file of the user's."""
    make_synthetic_data(tmp_path / "data")
    (tmp_path / "mine.py").write_text(STUDY.format(data=str(tmp_path / "data")))
    calm = run(tmp_path / "mine.py", "--parallel", 1, "--out", tmp_path / "calm", "--steps", tmp_path / "a", "--json")
    assert calm.exit_code == 0, calm.stderr
    command = [sys.executable, "-m", "clients.cli.main", "study", str(tmp_path / "mine.py"), "--parallel", "2"]
    command += ["--out", str(tmp_path / "killed"), "--steps", str(tmp_path / "b")]
    kill_when(command, lambda: len(list((tmp_path / "b").glob("jobs/finetune-*/attempts/*/record.json"))) >= 1)
    assert not (tmp_path / "killed" / "results.parquet").exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    results = [(tmp_path / place / "results.parquet").read_bytes() for place in ("calm", "killed")]
    assert results[0] == results[1]
    assert "Ours?" in (tmp_path / "killed" / "report.html").read_text()
    assert json.loads(calm.stdout)["study"] == "mine"


def kill_when(command: list[str], is_time, timeout_s: float = 240.0) -> None:
    """Starts a command in a session of its own and kills all of it once it is time."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + timeout_s
    try:
        while not is_time():
            assert process.poll() is None, "it was over before it was killed"
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
