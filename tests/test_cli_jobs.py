"""`dap jobs`, `--service` of the commands that make jobs, and `dap cp`, as a person types them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.stores import LocalStore
from services.copying import copy_objects
from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from tests.job_api_builders import JobPlace, fail, succeed_in_part
from tests.waiting import wait_until

RECUT = {"images": 3, "boxes_per_image": 1.5, "images_per_s": 10.0, "label_set": "labels"}


@pytest.fixture
def url(place: JobPlace) -> Iterator[str]:
    with place.serve() as client:
        yield str(client.base_url)


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(one) for one in arguments])


def recut(_spec: Any, _context: JobContext) -> Outcome:
    return Outcome(JobState.SUCCEEDED, RECUT)


def run_next(place: JobPlace, work: Any) -> threading.Thread:
    """Runs the first job that comes, as a service does."""

    def target() -> None:
        wait_until(lambda: list(place.jobs.list_jobs()))
        [job] = place.jobs.list_jobs()
        place.start(job, work).join()

    thread = threading.Thread(target=target)
    thread.start()
    return thread


@pytest.mark.parametrize(("work", "code"), [(recut, 0), (fail, 4)], ids=["done", "failed"])
def test_a_command_submits_its_job_to_a_service_and_reports_it(place: JobPlace, url: str, work: Any, code: int):
    thread = run_next(place, work)
    result = run("recut", place.data / "labels", "--out", place.data / "new", "--service", url, "--json")
    thread.join()
    assert result.exit_code == code, result.output
    if code:
        assert "is FAILED: it is broken" in result.stderr
    else:
        assert json.loads(result.stdout) == RECUT


def test_a_file_with_a_job_is_run_by_a_service(place: JobPlace, url: str, tmp_path: Path):
    printed = run("recut", place.data / "labels", "--out", place.data / "new", "--print-spec")
    spec = tmp_path / "job.json"
    spec.write_text(printed.stdout)
    thread = run_next(place, recut)
    result = run("run", spec, "--service", url)
    thread.join()
    assert (result.exit_code, "3 images cut again" in result.stdout) == (0, True), result.output


def test_a_local_path_is_refused_with_the_line_that_fixes_it(place: JobPlace, url: str, tmp_path: Path):
    result = run("mine", tmp_path / "photos", "--out", place.data / "labels", "--service", url)
    assert result.exit_code == 2
    assert f"dap cp {tmp_path}/photos {place.data}/photos" in result.stderr


def test_jobs_of_a_service_are_listed_shown_stopped_and_resumed(place: JobPlace, url: str):
    with httpx.Client(base_url=url) as client:
        job = client.post("/v1/jobs", json=place.make_mine()).json()["id"]
    assert [one["id"] for one in json.loads(run("jobs", "list", "--service", url, "--json").stdout)["items"]] == [job]
    assert job in run("jobs", "list", "--service", url).stdout
    place.start(job, fail).join()
    assert "it is broken" in run("jobs", "get", job, "--service", url).stdout
    assert run("jobs", "watch", job, "--service", url).exit_code == 4
    assert run("jobs", "cancel", job, "--service", url).exit_code == 2
    assert json.loads(run("jobs", "resume", job, "--service", url, "--json").stdout)["state"] == "QUEUED"
    place.start(job, succeed_in_part).join()
    retried = json.loads(run("jobs", "retry", job, "--service", url, "--json").stdout)
    assert retried["spec"]["growth"] == "failed-images"
    place.store.put(f"jobs/{job}/logs/0001-0a.log", b"hello\n")
    assert "hello" in run("jobs", "logs", job, "--service", url).stdout
    missing = run("jobs", "get", "nobody", "--service", url)
    assert (missing.exit_code, "there is no job nobody" in missing.stderr) == (2, True)


def test_jobs_of_this_machine_need_no_service(place: JobPlace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAP_STORE", str(place.root))
    assert run("jobs", "list").exit_code == 0
    job = place.make_desk().submit(*_make_submission(place)).jobs[0].id
    assert [one["id"] for one in json.loads(run("jobs", "list", "--json").stdout)["items"]] == [job]
    assert json.loads(run("jobs", "get", job, "--json").stdout)["state"] == "QUEUED"
    assert "asked to stop" in run("jobs", "cancel", job).stdout
    refused = run("jobs", "resume", job)
    assert (refused.exit_code, "--service URL" in refused.stderr) == (2, True)


def _make_submission(place: JobPlace) -> tuple[Any, Any]:
    from services.jobs.job_desk import Draft
    from services.jobs.kinds import make_spec
    from services.jobs.ownership import Caller

    return Caller("local"), [Draft(make_spec(place.make_mine()))]


def test_no_service_is_said_in_one_line():
    result = run("jobs", "list", "--service", "http://127.0.0.1:9")
    assert (result.exit_code, result.stderr.count("error:")) == (5, 1)


def test_a_folder_is_copied_once(tmp_path: Path):
    for name in ("a/x.png", "b/y.png", "ünicode [z].png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(name.encode())
    first = run("cp", tmp_path / "photos", tmp_path / "there")
    assert (first.exit_code, "3 files copied" in first.stdout) == (0, True), first.output
    (tmp_path / "there" / "a" / "x.png").write_bytes(b"A/x.png")
    (tmp_path / "there" / "b" / "y.png").unlink()
    again = run("cp", tmp_path / "photos", tmp_path / "there")
    assert "2 files copied" in again.stdout
    assert "1 were there" in again.stdout
    assert (tmp_path / "there" / "a" / "x.png").read_bytes() == b"a/x.png"
    assert run("cp", tmp_path / "none", tmp_path / "there").exit_code == 2
    alone = run("cp", tmp_path / "photos" / "b" / "y.png", tmp_path / "file" / "y.png")
    assert (alone.exit_code, (tmp_path / "file" / "y.png").read_bytes()) == (0, b"b/y.png")


def test_objects_that_are_there_are_not_put_again(tmp_path: Path):
    source, destination = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    source.put("one", b"1")
    seen: list[bool] = []
    for _ in range(2):
        copy_objects(source, destination, on_copied=lambda one: seen.append(one.was_there))
    assert seen == [False, True]
