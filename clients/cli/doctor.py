"""`dap doctor`: what this machine can do for mining, and what will be used."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from clients.cli.console import make_table, print_json, reports_errors, stdout

_PACKAGES = ("dap", "torch", "torchvision", "timm", "openvino", "opencv-python-headless", "numpy", "pyarrow")


@reports_errors
def doctor(
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... Left out: a GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say which engines this machine has, which one `auto` takes, and why.

    [bold]dap doctor[/bold]   [bold]dap doctor --device cpu[/bold]
    """
    from dap_core.engines import list_engines

    choices = list_engines(device)
    chosen = next(choice for choice in choices if choice.available)
    versions = {name: _find_version(name) for name in _PACKAGES}
    if as_json:
        print_json(
            {
                "chosen": asdict(chosen),
                "engines": [asdict(choice) for choice in choices],
                "cores": len(os.sched_getaffinity(0)),
                "python": platform.python_version(),
                "versions": versions,
            }
        )
        return
    rows = [
        ("->" if one is chosen else "", one.engine, one.precision, one.device, _describe(one.available), one.reason)
        for one in choices
    ]
    table = make_table("engines, fastest first", ("", "engine", "precision", "device", "", "why"), rows)
    for column in table.columns:
        column.justify = "left"
    stdout.print(table)
    stdout.print(f"\nauto takes {chosen.engine} in {chosen.precision} on {chosen.device}", markup=False)
    cores = len(os.sched_getaffinity(0))
    stdout.print(f"{cores} cores, Python {platform.python_version()} on {platform.platform()}", markup=False)
    stdout.print(", ".join(f"{name} {found or 'missing'}" for name, found in versions.items()), markup=False)


def _describe(available: bool) -> str:
    return "yes" if available else "no"


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
