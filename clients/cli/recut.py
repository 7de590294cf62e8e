"""`dap recut`: boxes cut again from stored maps."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.console import parse_numbers, print_json, reports_errors, stdout
from clients.cli.job_options import JobOptions
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import make_absolute

if TYPE_CHECKING:
    from services.jobs.records import JobRecord


class KeptImages(StrEnum):
    """What happens to images that the label set holds."""

    KEEP = "keep"
    REFERENCE = "reference"


@reports_errors
@takes_groups
def recut(
    label_set: Annotated[str, typer.Argument(help="A label set that holds its maps.", show_default=False)],
    job: JobOptions,
    out: Annotated[str, typer.Option("--out", help="Where the new label set goes: a folder or s3://bucket/prefix.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="aligned, paper or official; else that of the label set.", show_default=False),
    ] = None,
    scales: Annotated[str | None, typer.Option(help="Short sides to use, of those that were run.")] = None,
    thresholds: Annotated[str | None, typer.Option(help="CAM thresholds, such as 0.3,0.5.")] = None,
    nms_iou: Annotated[float | None, typer.Option(help="NMS IoU; 1 keeps all.")] = None,
    images: Annotated[
        KeptImages, typer.Option(help="Copy embedded images, or refer to where they were mined from (faster, smaller).")
    ] = KeptImages.KEEP,
) -> None:
    """Cut boxes again from the stored maps of a label set, into a new one.

    No network is run: this takes about a millisecond per image. Images, labels and failures are taken over.

    [bold]dap recut labels/ --thresholds 0.3,0.5 --nms-iou 0.7 --out labels-tight/[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = {
        "label_set": make_absolute(label_set),
        "out": make_absolute(out),
        "recipe": recipe,
        "short_sides": parse_numbers(scales, "--scales", int),
        "thresholds": parse_numbers(thresholds, "--thresholds", float),
        "nms_iou": nms_iou,
        "images": images.value,
    }
    run_or_print("recut", fields, options=job)


def report_recut(record: JobRecord, *, as_json: bool) -> None:
    """Prints what came of a recut."""
    result = record.result or {}
    if as_json:
        print_json(result)
        return
    stdout.print(
        f"{result['images']} images cut again: {result['boxes_per_image']:.3f} boxes per image, "
        f"{result['images_per_s']:.0f} images/s; the new label set is {result['label_set']}",
        soft_wrap=True,
        markup=False,
    )
