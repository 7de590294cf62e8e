"""`dap export`: a label set in the format of another tool."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.console import print_json, reports_errors, stdout, warn
from clients.cli.job_options import JobOptions
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import make_absolute

if TYPE_CHECKING:
    from services.jobs.records import JobRecord


class ExportFormat(StrEnum):
    """Formats that can be written."""

    COCO = "coco"
    VOC = "voc"
    YOLO = "yolo"
    LABEL_STUDIO = "label-studio"
    FIFTYONE = "fiftyone"
    CVAT = "cvat"
    HUGGINGFACE = "huggingface"


class ExportedImages(StrEnum):
    """What an export does with the images."""

    COPY = "copy"
    LINK = "link"
    NONE = "none"


class ExportedClasses(StrEnum):
    """Which classes an export declares."""

    ALL = "all"
    USED = "used"


class VocFlavorName(StrEnum):
    """How corners are counted in VOC files."""

    DEVKIT = "devkit"
    PLUS_ONE = "plus-one"
    ZERO_BASED_INT = "zero-based-int"
    ZERO_BASED_FLOAT = "zero-based-float"


@reports_errors
@takes_groups
def export(
    label_set: Annotated[str, typer.Argument(help="A label set.", show_default=False)],
    job: JobOptions,
    out: Annotated[str, typer.Option("--out", help="A new or empty folder, or s3://bucket/prefix.")],
    format_: Annotated[ExportFormat, typer.Option("--format", help="The format to write.")] = ExportFormat.COCO,
    images: Annotated[
        ExportedImages, typer.Option(help="Copy the images, link to the source files, or write annotations only.")
    ] = ExportedImages.COPY,
    classes: Annotated[
        ExportedClasses | None,
        typer.Option(help="All classes, or those with a box. Left out: all for coco and huggingface, else used."),
    ] = None,
    min_score: Annotated[float, typer.Option(help="Leave out boxes of a lower score; their images stay.")] = 0.0,
    voc_flavor: Annotated[
        VocFlavorName, typer.Option(help="How voc counts corners; docs/formats.md says who reads which.")
    ] = VocFlavorName.DEVKIT,
) -> None:
    """Write the boxes of a label set for other tools.

    Boxes are in pixels of the upright image; a copied image that EXIF turns is written upright. docs/formats.md
    says what each format keeps and how to import it.

    [bold]dap export labels/ --format coco --out coco/[/bold]
    [bold]dap export labels/ --format yolo --images link --min-score 0.5 --out yolo/[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = {
        "label_set": make_absolute(label_set),
        "out": make_absolute(out),
        "format": format_.value,
        "images": images.value,
        "classes": classes.value if classes else None,
        "min_score": min_score,
        "voc_flavor": voc_flavor.value,
    }
    run_or_print("export", fields, options=job)


def report_export(record: JobRecord, *, as_json: bool) -> None:
    """Prints what an export wrote, and what it could not carry over."""
    result = record.result or {}
    _warn_of_losses(result)
    if as_json:
        print_json(result)
        return
    failed = result["num_failures_left_out"]
    written = f"{result['num_images']} images with {result['num_boxes']} boxes written to {result['out']}"
    stdout.print(f"{written}{f', {failed} failed images left out' if failed else ''}", markup=False, soft_wrap=True)
    if result["lost"]:
        stdout.print(f"this format has no place for: {'; '.join(result['lost'])}", markup=False)


def _warn_of_losses(result: Mapping[str, Any]) -> None:
    if result["num_rotated"] and result["images"] == ExportedImages.NONE:
        warn(f"{result['num_rotated']} images carry an EXIF orientation; boxes fit them only when read upright")
    if result["num_boxes_left_out"]:
        warn(f"{result['num_boxes_left_out']} boxes of a lower score left out")
    if result["num_copied_instead"]:
        warn(f"{result['num_copied_instead']} images copied, as they are rotated, or changed or gone at their source")
    if result["num_renamed"]:
        warn(f"{result['num_renamed']} images could not keep their names; names.csv says which is which")
