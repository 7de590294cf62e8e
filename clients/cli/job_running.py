"""Running a job in this process for a command: its record, its display, and how to go on when it ends early."""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from clients.cli.console import ExitCode, stderr, warn
from clients.cli.job_display import JobDisplay

if TYPE_CHECKING:
    from clients.cli.job_options import JobOptions
    from services.jobs.job_store import JobStore
    from services.jobs.records import JobRecord
    from services.jobs.specs import JobSpec

_REPORTS = {
    "mine": ("clients.cli.mine_report", "report_mining"),
    "recut": ("clients.cli.recut", "report_recut"),
    "export": ("clients.cli.export", "report_export"),
    "train-classifier": ("clients.cli.classifier_report", "report_classifier"),
    "pretrain": ("clients.cli.training_report", "report_training"),
    "self-train": ("clients.cli.training_report", "report_training"),
    "finetune": ("clients.cli.training_report", "report_training"),
    "evaluate": ("clients.cli.evaluate_report", "report_evaluation"),
    "predict": ("clients.cli.predict_report", "report_prediction"),
}
"""What prints the result of each kind of job."""


def run_here(spec: JobSpec) -> JobRecord:
    """Runs a job to its end; its record is kept where `DAP_STORE` says, else in a folder of the user's.

    Raises what the job raises; an interrupt ends the command, with the line that goes on.
    """
    from services.jobs.kinds import find_runner
    from services.jobs.runner import run_job

    with _submitting(spec) as (jobs, job), JobDisplay(spec.kind) as display, saying_how_to_go_on():
        return run_job(jobs, job, find_runner(spec), listener=display)


def run_or_print(kind: str, fields: dict[str, Any], *, options: JobOptions) -> None:
    """Makes the spec of a command, and prints it, runs it, or has a service run it.

    Raises InputError, and what the job raises.
    """
    from services.jobs.kinds import make_spec

    spec = make_spec({"kind": kind, **fields}, f"dap {kind}")
    if options.print_spec:
        sys.stdout.write(spec.to_json())
    else:
        run_and_report(spec, options)


def run_and_report(spec: JobSpec, options: JobOptions) -> NoReturn:
    """Runs a job here or by a service, prints what came of it, and ends the command."""
    if options.service is None:
        record = run_here(spec)
    else:
        from clients.cli.job_watching import submit_and_watch

        record = submit_and_watch(spec, options.service, options.api_key)
    report_and_exit(spec.kind, record, as_json=options.as_json)


def report_and_exit(kind: str, record: JobRecord, *, as_json: bool) -> NoReturn:
    """Prints what came of a job of that kind, and ends the command."""
    module, name = _REPORTS[kind]
    getattr(import_module(module), name)(record, as_json=as_json)
    raise typer.Exit(_choose_exit_code(record))


def _choose_exit_code(record: JobRecord) -> ExitCode:
    """What a command ends with for a job that came to its end."""
    from services.jobs.records import JobState

    codes = {JobState.SUCCEEDED: ExitCode.OK, JobState.PARTIALLY_SUCCEEDED: ExitCode.PARTLY_FAILED}
    return codes.get(record.state, ExitCode.FAILED)


@contextmanager
def _submitting(spec: JobSpec) -> Iterator[tuple[JobStore, str]]:
    """The job in its store; in one that is gone afterwards where the usual one cannot be written."""
    from dap_core.errors import StoreError
    from services.jobs.job_store import JobStore
    from services.settings import read_job_root
    from services.storage import open_store

    root = read_job_root()
    try:
        jobs = JobStore(open_store(root))
        submitted = jobs, jobs.submit(spec)
    except StoreError as error:
        warn(f"no record of the job is kept, as {root} cannot be written ({error}); DAP_STORE names another place")
        with tempfile.TemporaryDirectory(prefix="dap-job-") as folder:
            jobs = JobStore(open_store(folder))
            yield jobs, jobs.submit(spec)
        return
    yield submitted


@contextmanager
def saying_how_to_go_on() -> Iterator[None]:
    """Whatever ends the job early, the user is told how it goes on; SIGTERM counts as an interrupt."""
    from dap_core.errors import JobStoppedError, ShardFailedError, StoreError, TooManyFailuresError

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        _print_resume("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (StoreError, ShardFailedError, JobStoppedError, TooManyFailuresError):
        _print_resume("stopped; what was committed stays")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_resume(what: str) -> None:
    stderr.print(f"{what}; to go on: {shlex.join(['dap', *sys.argv[1:]])}", markup=False, soft_wrap=True)
