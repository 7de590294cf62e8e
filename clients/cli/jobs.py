"""`dap jobs`: what runs, what waits, and what became of it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from clients.cli.console import make_table, print_facts, print_json, reports_errors, stdout
from clients.cli.job_options import KeyOption
from clients.cli.job_sources import open_jobs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List, watch and stop jobs: those of a service, or those in the store of this machine (DAP_STORE).",
)
_Job = Annotated[str, typer.Argument(metavar="ID", help="As dap jobs list shows it.", show_default=False)]
_Service = Annotated[
    str | None, typer.Option("--service", metavar="URL", help="Of this service. [dim]Left out: of this machine.[/dim]")
]
_Needed = Annotated[str, typer.Option("--service", metavar="URL", help="The service that runs it.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as docs/http-api.md has it.")]


@app.command("list")
@reports_errors
def show(
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind, such as mine.")] = None,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state, such as RUNNING.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Jobs to show at most.")] = 20,
    service: _Service = None,
    api_key: KeyOption = None,
    as_json: _AsJson = False,
) -> None:
    """List jobs, the newest first.

    [bold]dap jobs list --service http://127.0.0.1:8000 --state RUNNING[/bold]
    """
    with open_jobs(service, api_key) as jobs:
        found = jobs.list_jobs(kind, state and state.upper(), limit)
    if as_json:
        print_json({"items": found})
        return
    columns = ("id", "kind", "state", "created", "attempt")
    table = make_table("jobs", columns, [[one[name] for name in columns] for one in found])
    for column in table.columns:
        column.justify = "left"
    stdout.print(table)


@app.command("get")
@reports_errors
def get(job: _Job, service: _Service = None, api_key: KeyOption = None, as_json: _AsJson = False) -> None:
    """Show one job: where it stands, how far it is, and what it waits for."""
    with open_jobs(service, api_key) as jobs:
        _print_job(jobs.get(job), as_json=as_json)


@app.command("watch")
@reports_errors
def watch(job: _Job, service: _Needed, api_key: KeyOption = None, as_json: _AsJson = False) -> None:
    """Show how far a job is until it ends, then what came of it; it goes on when this is interrupted.

    Exit codes: 0 done, 3 some images failed, 4 it failed or was cancelled, 5 no answer, 6 no valid key.
    """
    from dap_client import Client

    from clients.cli.job_running import report_and_exit
    from clients.cli.job_watching import reports_answers, watch_to_end

    with reports_answers(), Client(service, api_key=api_key) as client:
        watched = client.jobs.get(job)
        record = watch_to_end(watched, service)
    report_and_exit(watched.values["kind"], record, as_json=as_json)


@app.command("logs")
@reports_errors
def logs(job: _Job, service: _Service = None, api_key: KeyOption = None) -> None:
    """Print what the attempts of a job printed, of each the last 256 KiB."""
    with open_jobs(service, api_key) as jobs:
        sys.stdout.write(jobs.logs(job))


@app.command("cancel")
@reports_errors
def cancel(job: _Job, service: _Service = None, api_key: KeyOption = None, as_json: _AsJson = False) -> None:
    """Ask a job to stop; what it has committed stays."""
    with open_jobs(service, api_key) as jobs:
        _print_job(jobs.ask(job, "cancel"), as_json=as_json)


@app.command("resume")
@reports_errors
def resume(job: _Job, service: _Service = None, api_key: KeyOption = None, as_json: _AsJson = False) -> None:
    """Have a job go on that failed or was cancelled."""
    with open_jobs(service, api_key) as jobs:
        _print_job(jobs.ask(job, "resume"), as_json=as_json)


@app.command("retry")
@reports_errors
def retry(job: _Job, service: _Service = None, api_key: KeyOption = None, as_json: _AsJson = False) -> None:
    """Label the images of a mining job again that failed: a new job, which is shown."""
    with open_jobs(service, api_key) as jobs:
        _print_job(jobs.ask(job, "retry_failed"), as_json=as_json)


def _print_job(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(values)
        return
    progress = values["progress"]
    done = f"{progress['done']:,} of {progress['total']:,} images" if progress["total"] else None
    asked = "asked to stop" if values["cancel_requested"] else "nothing was heard of it" if values["stalled"] else None
    rows = [
        ("job", values["id"]),
        ("kind", values["kind"]),
        ("state", ", ".join(part for part in (values["state"], asked) if part)),
        ("waits", values["reason"]),
        ("after", " ".join(values["after"])),
        ("created", values["created"]),
        ("started", values["started"]),
        ("ended", values["ended"]),
        ("attempt", values["attempt"]),
        ("stage", values["stage"]),
        ("progress", done),
        ("message", values["message"]),
    ]
    print_facts("job", [(name, value) for name, value in rows if value])
