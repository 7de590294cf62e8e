"""`dap run`: a job from its record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.job_options import JobOptions, KeyOption, ServiceOption


@reports_errors
def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.json", help="A job, as --print-spec prints it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    service: ServiceOption = None,
    api_key: KeyOption = None,
) -> None:
    """Run a job that is described in a file, here or by a service.

    Every job keeps its description beside its record, so that it can be run again; `--print-spec` of `dap mine`
    prints one without running it.

    [bold]dap mine s3://photos --out s3://labels --print-spec > job.json[/bold]
    [bold]dap run job.json[/bold]
    """
    from clients.cli.job_running import run_and_report
    from services.jobs.kinds import parse_spec

    options = JobOptions(as_json=as_json, service=service, api_key=api_key)
    run_and_report(parse_spec(spec.read_bytes(), str(spec)), options)
