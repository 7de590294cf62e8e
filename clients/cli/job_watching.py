"""A job on a service, as a command submits and watches it; it goes on when the command ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from clients.cli.console import ExitCode, fail, stderr
from clients.cli.job_display import describe_counts

if TYPE_CHECKING:
    from dap_client import Job

    from services.jobs.records import JobRecord, ProgressCounts
    from services.jobs.specs import JobSpec


@contextmanager
def reports_answers() -> Iterator[None]:
    """What a service refuses, or does not answer, ends the command with one clear line and its exit code."""
    from dap_client import AccessDenied, DapClientError, InvalidRequest, NoAnswerError, ServiceUnavailable

    try:
        yield
    except (NoAnswerError, ServiceUnavailable) as error:
        raise fail(str(error), ExitCode.UNREACHABLE) from error
    except AccessDenied as error:
        raise fail(str(error), ExitCode.UNAUTHORISED) from error
    except InvalidRequest as error:
        raise fail(str(error), ExitCode.USAGE) from error
    except DapClientError as error:
        raise fail(str(error), ExitCode.FAILED) from error


def submit_and_watch(spec: JobSpec, url: str, api_key: str | None) -> JobRecord:
    """The last record of a job that a service ran; ends the command when it failed or was cancelled."""
    from dap_client import Client

    with reports_answers(), Client(url, api_key=api_key) as client:
        job = client.jobs.submit(spec.model_dump(mode="json"))
        stderr.print(f"job {job.id} is submitted", markup=False)
        return watch_to_end(job, url)


def watch_to_end(job: Job, url: str) -> JobRecord:
    """The last record of a job, whose progress is shown meanwhile; ends the command when it made nothing.

    An interrupt ends the command alone, and says how to watch on.
    """
    try:
        with stderr.status(f"job {job.id}") as status:
            job.wait(progress=lambda one: status.update(_describe(one)))
    except KeyboardInterrupt:
        stderr.print(f"the job goes on; to watch on: dap jobs watch {job.id} --service {url}", soft_wrap=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if job.state in {"FAILED", "CANCELLED"}:
        what = job.values.get("message") or "no reason was given"
        raise fail(f"job {job.id} is {job.state}: {what}", ExitCode.FAILED)
    return make_record(job)


def make_record(job: Job) -> JobRecord:
    """The record that stands behind a job that has ended, as far as its answer has it."""
    from services.jobs.records import JobRecord, JobState

    values = job.values
    return JobRecord(
        job=job.id,
        attempt=values["attempt"],
        state=JobState(job.state),
        started=values["started"],
        updated=values["updated"],
        ended=values["ended"],
        progress=_read_counts(job),
        message=values["message"],
        warnings=tuple(values["warnings"]),
        result=values["result"],
    )


def _read_counts(job: Job) -> ProgressCounts:
    from services.jobs.records import ProgressCounts

    return ProgressCounts(**job.values["progress"])


def _describe(job: Job) -> str:
    """State, what it is at or waits for, and how far it is."""
    values, counts = job.values, _read_counts(job)
    done = f"{counts.done:,} of {counts.total:,} images" if counts.total else ""
    parts = (job.state, values["reason"], values["stage"], done, describe_counts(counts))
    return f"job {job.id}: {', '.join(str(part) for part in parts if part)}"
