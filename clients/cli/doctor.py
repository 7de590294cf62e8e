"""`dap doctor`: what this machine can do for mining, and what will be used; with `--store`, what a store can do."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from clients.cli.console import ExitCode, make_table, print_json, reports_errors, stdout, warn

_PACKAGES = ("dap", "torch", "torchvision", "timm", "openvino", "opencv-python-headless", "numpy", "pyarrow")


@reports_errors
def doctor(
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... Left out: a GPU if there is one.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Say what this store allows instead: s3://bucket/prefix or a local directory.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say which engines this machine has, which one `auto` takes, and why.

    [bold]dap doctor[/bold]   [bold]dap doctor --device cpu[/bold]   [bold]dap doctor --store s3://bucket/labels[/bold]

    With --store, small objects are written, read and removed again; exit code 4 when bulk labelling cannot run there.
    """
    if store is not None:
        _report_store(store, as_json)
        return
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


def _report_store(uri: str, as_json: bool) -> None:
    from services.probing import probe_store
    from services.storage import open_store

    report = probe_store(open_store(uri))
    if as_json:
        print_json({**asdict(report), "can_label": report.can_label})
    else:
        rows = [
            (one.what, one.result, "" if one.ms is None else f"{one.ms:,.0f}", _explain(one.reason, one.meaning))
            for one in report.steps
        ]
        table = make_table("", ("", "result", "ms", ""), rows)
        for index in (1, 3):
            table.columns[index].justify = "left"
        for column in table.columns[:3]:
            column.no_wrap = True
        stdout.print(report.store, style="bold", markup=False, highlight=False, soft_wrap=True)
        stdout.print(table)
        if report.clock_skew_s is not None:
            stdout.print(f"\nserver's clock: {round(report.clock_skew_s):+,d} s from this machine's")
        stdout.print(f"\nbulk labelling {'can' if report.can_label else 'cannot'} run here")
    if report.left_behind:
        warn(f"what the probe wrote could not be removed: {report.left_behind}")
    if not report.can_label:
        raise typer.Exit(ExitCode.FAILED)


def _explain(reason: str, meaning: str) -> str:
    reason = f"{reason[:1].upper()}{reason[1:]}".rstrip(".")
    return f"{reason}. {meaning}".strip() if reason else meaning


def _describe(available: bool) -> str:
    return "yes" if available else "no"


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
