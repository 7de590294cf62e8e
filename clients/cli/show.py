"""`dap show`: a label set as a page to look at."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.console import print_json, reports_errors, stderr, stdout, warn

if TYPE_CHECKING:
    from dap_core.label_sets import LabelSet

_MOST_IMAGES = 500
_NUM_CARDS, _NUM_SWEEP_ROWS = 60, 12


class SweepChoice(StrEnum):
    """The mining parameter that a sweep varies."""

    THRESHOLDS = "thresholds"
    NMS = "nms"


@reports_errors
def show(
    label_set: Annotated[str, typer.Argument(help="A label set, complete or partial.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write. Left out: LABEL_SET.html, next to the label set.", show_default=False),
    ] = None,
    num: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MOST_IMAGES, help=f"How many images; {_NUM_CARDS}, or {_NUM_SWEEP_ROWS} with --sweep."
        ),
    ] = None,
    worst: Annotated[
        int | None, typer.Option(min=1, max=_MOST_IMAGES, help="Show so many images to look at first, and why.")
    ] = None,
    sweep: Annotated[
        SweepChoice | None, typer.Option(help="Show the paper's figure A1 (thresholds) or A2 (nms) on these images.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write an HTML page of a label set: images, heat maps, and boxes by threshold.

    The page is one file of a few MB that opens without a server or a network.

    [bold]dap show labels/[/bold]   writes labels.html
    [bold]dap show labels/ --worst 40[/bold]   labels-worst.html: doubtful images first
    [bold]dap show labels/ --sweep nms[/bold]   labels-nms.html: boxes cut again at six NMS IoUs
    """
    from services.places import open_label_set_at

    if worst is not None and (num is not None or sweep is not None):
        raise ValueError("--worst says which images are shown, and how many; leave out --num and --sweep")
    kind = sweep.value if sweep else "worst" if worst else "gallery"
    page = _choose_page(label_set, kind, out)
    opened = open_label_set_at(label_set, allow_partial=True)
    with stderr.status(f"drawing {label_set}"):
        html = _render(opened, num=num, worst=worst, sweep=sweep)
    num_bytes = _write_page(page, html)
    if opened.manifest.state == "partial":
        warn(f"the label set is partial: {opened.manifest.counts.num_incomplete} images are still to be labelled")
    if as_json:
        print_json({"label_set": str(label_set), "page": str(page), "bytes": num_bytes, "kind": kind})
    else:
        stdout.print(f"{page}  {num_bytes / 1e6:.1f} MB", markup=False, highlight=False, soft_wrap=True)
    if open_:
        typer.launch(page.resolve().as_uri())


def _choose_page(label_set: str, kind: str, out: Path | None) -> Path:
    """The file to write: `out`, or one named after the label set; beside it, or here. Raises DestinationError."""
    from dap_core.errors import DestinationError
    from services.places import local_path

    path = local_path(label_set)
    folder = path.resolve() if path else Path(label_set.rstrip("/").rpartition("/")[2]).absolute()
    page = out or folder.with_name(folder.name + ("" if kind == "gallery" else f"-{kind}") + ".html")
    if path and page.resolve().is_relative_to(folder):
        raise DestinationError(f"{page} lies inside the label set; give another --out")
    if page.is_dir():
        raise DestinationError(f"{page} is a folder; --out names the page, such as {page / 'labels.html'}")
    return page


def _render(opened: LabelSet, *, num: int | None, worst: int | None, sweep: SweepChoice | None) -> str:
    from dap_core.gallery import render_gallery, render_sweep, render_worst

    if sweep is not None:
        return render_sweep(opened, sweep.value, num_images=num or _NUM_SWEEP_ROWS)
    if worst is not None:
        return render_worst(opened, num_images=worst)
    return render_gallery(opened, num_images=num or _NUM_CARDS)


def _write_page(page: Path, html: str) -> int:
    """Writes the page whole or not at all, and returns its size in bytes; raises DestinationError."""
    from dap_core.errors import DestinationError, StoreError
    from dap_core.stores import LocalStore

    data = html.encode("utf-8", "xmlcharrefreplace")
    try:
        LocalStore(page.parent).put(page.name, data)
    except StoreError as error:
        raise DestinationError(f"{page} cannot be written: {error}") from error
    return len(data)
