"""`dap show`: a label set as a page to look at."""

from __future__ import annotations

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.console import print_json, reports_errors, stderr, stdout


class SweepChoice(StrEnum):
    """The paper's figures."""

    THRESHOLDS = "thresholds"
    NMS = "nms"


@reports_errors
def show(
    label_set: Annotated[Path, typer.Argument(help="A label set, complete or partial.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The page to write. Left out: LABEL_SET.html beside it.", show_default=False)
    ] = None,
    num: Annotated[int | None, typer.Option(help="How many images: 60, or 12 with --sweep.", min=1)] = None,
    worst: Annotated[int | None, typer.Option(help="The N images to look at first, and why.", min=1)] = None,
    sweep: Annotated[
        SweepChoice | None, typer.Option(help="The paper's figure A1 (thresholds) or A2 (nms) on these images.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write an HTML gallery of a label set: image, heat map, boxes by threshold.

    The page is one file of a few MB that opens without a server.

    [bold]dap show labels/[/bold]   [bold]dap show labels/ --worst 30[/bold]   [bold]dap show labels/ --sweep nms[/bold]
    """
    from dap_core.evaluation import find_suspicious
    from dap_core.gallery import render_gallery, render_sweep
    from dap_core.label_sets import open_label_set

    if worst is not None and (sweep is not None or num is not None):
        raise ValueError("--worst chooses the images itself; leave out --num and --sweep")
    opened = open_label_set(label_set, allow_partial=True)
    path = out or label_set.resolve().with_suffix(".html")
    with stderr.status(f"drawing {label_set}"):
        if sweep is not None:
            page = render_sweep(opened, sweep.value, num_images=num or 12)
        elif worst is not None:
            page = render_gallery(opened, num_images=worst, suspicions=find_suspicious(opened, limit=worst))
        else:
            page = render_gallery(opened, num_images=num or 60)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    if as_json:
        print_json({"page": str(path), "bytes": path.stat().st_size})
    else:
        stdout.print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", markup=False, soft_wrap=True, highlight=False)
    if open_:
        webbrowser.open(path.resolve().as_uri())
