"""`dap run`, and the record that every `dap mine` leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dap_core.label_sets import open_label_set
from dap_core.stores import LocalStore
from services.jobs.job_store import JobStore
from services.jobs.records import JobState
from tests.test_cli_mine import FAST, run, write_photos


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStore:
    """Where the records of this test's jobs are kept."""
    monkeypatch.setenv("DAP_STORE", str(tmp_path / "store"))
    return JobStore(LocalStore(tmp_path / "store"))


def test_a_printed_job_is_run_and_makes_what_mine_makes(jobs: JobStore, tmp_path: Path, monkeypatch):
    photos, spec = write_photos(tmp_path / "photos"), tmp_path / "job.json"
    monkeypatch.chdir(tmp_path)
    printed = run("mine", "photos", "--out", "labels", *FAST, "--print-spec")
    assert (printed.exit_code, (tmp_path / "labels").exists(), list(jobs.list_jobs())) == (0, False, [])
    spec.write_text(printed.stdout)
    monkeypatch.chdir("/")
    result = run("run", spec, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["label_set"] == str(tmp_path / "labels")
    assert run("mine", photos, "--out", tmp_path / "again", *FAST).exit_code == 0
    rows = [
        [row.boxes.boxes.tolist() for row in open_label_set(tmp_path / name).rows()] for name in ("labels", "again")
    ]
    assert rows[0] == rows[1]


def test_local_places_of_a_job_mean_the_same_from_every_folder(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--weights", "net.safetensors", "--classes", "own.csv", "--label-table", "labels.csv", "--print-spec"]
    values = json.loads(run("mine", "photos", "--out", "labels", *options).stdout)
    names = {"source": ["photos"], "out": "labels", "weights": "net.safetensors", "classes": "own.csv"}
    for name, place in (names | {"label_table": "labels.csv"}).items():
        expected = [str(tmp_path / one) for one in place] if isinstance(place, list) else str(tmp_path / place)
        assert values[name] == expected
    published = run("mine", "photos", "--out", "labels", "--weights", "IMAGENET1K_V2", "--print-spec")
    assert json.loads(published.stdout)["weights"] == "IMAGENET1K_V2"


def test_the_record_of_a_job_says_what_was_asked_how_far_it_came_and_how_it_ended(jobs: JobStore, tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 24)
    (photos / "espresso" / "bad.png").write_bytes(b"no image")
    result = run("mine", photos, "--out", tmp_path / "labels", *FAST, "--json")
    assert result.exit_code == 3, result.output
    values = json.loads(result.stdout)
    [job] = jobs.list_jobs()
    record = jobs.read_record(job)
    assert record is not None
    assert (values["job"], record.state) == (job, JobState.PARTIALLY_SUCCEEDED)
    progress = record.progress
    assert (progress.done, progress.total, progress.failed, progress.parts_done) == (25, 25, 1, 1)
    assert progress.failures_by_type == {"not-an-image": 1}
    events = list(jobs.read_events(job))
    [shard] = [event.values for event in events if event.kind == "shard"]
    assert (shard["ok"], shard["failed"], shard["label_s"] > 0) == (24, 1, True)
    assert [event.values["text"] for event in events if event.kind == "stage"] == [
        f"listing {photos}",
        "loading lite0",
        "planning",
    ]
    again = run("run", tmp_path / "store" / "jobs" / job / "spec.json")
    assert "nothing was left to do" in again.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ('{"kind": "mine", "source": ["photos"]}', "out: Field required"),
        ('{"kind": "bake"}', "predict, got 'bake'"),
    ],
)
def test_a_file_that_is_no_job_is_one_clear_line(tmp_path: Path, text: str, message: str):
    (tmp_path / "job.json").write_text(text)
    result = run("run", tmp_path / "job.json")
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_a_failed_job_says_why_in_its_record(jobs: JobStore, tmp_path: Path):
    photos = write_photos(tmp_path / "photos")
    assert (
        run("mine", photos, "--out", tmp_path / "labels", "--engine", "torch", "--precision", "float16").exit_code == 2
    )
    [job] = jobs.list_jobs()
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, record.error_type) == (JobState.FAILED, "invalid-input")
    assert "precision float16 cannot be had" in (record.message or "")
    assert not (tmp_path / "labels").exists()


def test_where_no_record_can_be_kept_the_job_is_done_all_the_same(tmp_path: Path, monkeypatch):
    (tmp_path / "taken").write_text("a file, not a folder")
    monkeypatch.setenv("DAP_STORE", str(tmp_path / "taken"))
    result = run("mine", write_photos(tmp_path / "photos"), "--out", tmp_path / "labels", *FAST)
    assert result.exit_code == 0
    assert "no record of the job is kept" in result.stderr.replace("\n", " ")


def test_sigterm_ends_a_job_as_an_interrupt_does(jobs: JobStore, tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 300)
    command = [sys.executable, "-m", "clients.cli.main", "mine", photos, "--out", tmp_path / "labels"]
    process = subprocess.Popen([*map(str, command), *FAST], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (record := next(map(jobs.read_record, jobs.list_jobs()), None)) or not record.progress.done:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; to go on: dap mine" in errors
    [job] = jobs.list_jobs()
    record = jobs.read_record(job)
    assert record is not None
    assert (record.state, record.message, record.progress.done) == (JobState.CANCELLED, "interrupted", 0)


def test_a_label_set_below_the_current_folder_is_shown_as_seen_from_there(tmp_path: Path, monkeypatch):
    write_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    result = run("mine", "photos", "--out", "my labels", *FAST)
    assert "dap show 'my labels'   dap stats 'my labels'" in result.stdout
