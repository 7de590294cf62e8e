"""`dap export`: a label set in the format of another tool."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.console import print_json, reports_errors, stdout, warn


class ExportFormat(StrEnum):
    """Formats that can be written."""

    COCO = "coco"


class ExportedImages(StrEnum):
    """What an export does with the images."""

    COPY = "copy"
    NONE = "none"


@reports_errors
def export(
    label_set: Annotated[Path, typer.Argument(help="A label set.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    format_: Annotated[ExportFormat, typer.Option("--format", help="The format to write.")] = ExportFormat.COCO,
    images: Annotated[
        ExportedImages, typer.Option(help="Copy the images, or write annotations only.")
    ] = ExportedImages.COPY,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write the boxes of a label set for other tools.

    [bold]coco[/bold]: DIR/annotations.json and DIR/images/. Boxes are in pixels of the upright image; score and
    threshold are kept as extra fields; class n of the label set is category n + 1.

    [bold]dap export labels/ --format coco --out coco/[/bold]
    """
    from dap_core.exports import export_coco
    from dap_core.label_sets import open_label_set

    copies = images is ExportedImages.COPY
    report = export_coco(open_label_set(label_set), out, copy_images=copies)
    if report.num_rotated and not copies:
        warn(f"{report.num_rotated} images carry an EXIF orientation; boxes fit them only when read upright")
    if as_json:
        print_json({"format": format_.value, "out": str(out), **asdict(report)})
        return
    left_out = f", {report.num_failures_left_out} failed images left out" if report.num_failures_left_out else ""
    stdout.print(f"{report.num_images} images with {report.num_boxes} boxes written to {out}{left_out}", markup=False)
