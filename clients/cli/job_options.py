"""Options of every command that is a job: where it runs, and what becomes of its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ServiceOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Have this service run it, and watch. [dim]Left out: it runs here.[/dim]"),
]
KeyOption = Annotated[
    str | None, typer.Option(envvar="DAP_API_KEY", help="Key of the service; better in the variable than typed.")
]


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What becomes of the job and of its result."""

    print_spec: Annotated[
        bool, typer.Option("--print-spec", help="Print the job for `dap run`, and do nothing else.")
    ] = False
    as_json: JsonOption = False
    service: ServiceOption = None
    api_key: KeyOption = None
