"""`dap export`: a label set in the format of another tool."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.console import print_json, reports_errors, stdout, warn

if TYPE_CHECKING:
    from dap_core.exports import ExportReport


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
def export(
    label_set: Annotated[str, typer.Argument(help="A label set.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write the boxes of a label set for other tools.

    Boxes are in pixels of the upright image; a copied image that EXIF turns is written upright. docs/formats.md
    says what each format keeps and how to import it.

    [bold]dap export labels/ --format coco --out coco/[/bold]
    [bold]dap export labels/ --format yolo --images link --min-score 0.5 --out yolo/[/bold]
    """
    from dap_core.exports import ExportOptions, export_label_set
    from services.places import open_label_set_at

    options = ExportOptions(
        images=images.value,
        classes=classes.value if classes else None,
        min_score=min_score,
        voc_flavor=voc_flavor.value,
    )
    report = export_label_set(open_label_set_at(label_set), out, format_.value, options)
    _warn_of_losses(report, images)
    if as_json:
        print_json({"format": format_.value, "out": str(out), **asdict(report)})
        return
    left_out = f", {report.num_failures_left_out} failed images left out" if report.num_failures_left_out else ""
    written = f"{report.num_images} images with {report.num_boxes} boxes written to {out}{left_out}"
    stdout.print(written, markup=False, soft_wrap=True)
    if report.lost:
        stdout.print(f"this format has no place for: {'; '.join(report.lost)}", markup=False)


def _warn_of_losses(report: ExportReport, images: ExportedImages) -> None:
    if report.num_rotated and images is ExportedImages.NONE:
        warn(f"{report.num_rotated} images carry an EXIF orientation; boxes fit them only when read upright")
    if report.num_boxes_left_out:
        warn(f"{report.num_boxes_left_out} boxes of a lower score left out")
    if report.num_copied_instead:
        warn(f"{report.num_copied_instead} images copied, as they are rotated, or changed or gone at their source")
    if report.num_renamed:
        warn(f"{report.num_renamed} images could not keep their names; names.csv says which is which")
