"""Options that say which images with drawn boxes are used."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.source_options import make_absolute, parse_map

DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="Images with drawn boxes: COCO, VOC, VOCdevkit, YOLO, CSV, ...; a path or s3://bucket/prefix.",
        show_default=False,
    ),
]
DataFormatOption = Annotated[
    str | None, typer.Option("--data-format", help="Their format, where it cannot be told.", show_default=False)
]
SplitOption = Annotated[
    str | None, typer.Option(help="Part to use, of CSV and YOLO; of a VOCdevkit the image set.", show_default=False)
]
YearsOption = Annotated[str | None, typer.Option(help="Years of a VOCdevkit, such as 2007,2012.", show_default=False)]
ImageRootOption = Annotated[
    str | None, typer.Option(help="Where the images are, if not beside the boxes.", show_default=False)
]
InclusiveOption = Annotated[bool, typer.Option("--inclusive", help="In a CSV, xmax and ymax are inside.")]
ImagesFromOption = Annotated[
    str | None,
    typer.Option(help="Text file with the keys of the images to use, or a shots.json.", show_default=False),
]
LeaveOutOption = Annotated[
    str | None, typer.Option(help="Text file with the keys of images not to use.", show_default=False)
]
ClassMapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="CLASS=NAME", help="Another name for a class; CLASS= leaves it out. May repeat."),
]


def make_data_fields(
    data: str,
    *,
    data_format: str | None,
    split: str | None,
    years: str | None,
    image_root: str | None,
    inclusive: bool,
    images_from: str | None,
    leave_out: str | None,
    renamed: list[str] | None,
) -> dict[str, Any]:
    """The fields of a spec that these options stand for; local paths are made absolute. Raises ValueError."""
    return {
        "data": make_absolute(data),
        "data_format": data_format,
        "split": split,
        "years": tuple(years.split(",")) if years else (),
        "image_root": image_root and make_absolute(image_root),
        "inclusive": inclusive,
        "images_from": images_from and make_absolute(images_from),
        "leave_out": leave_out and make_absolute(leave_out),
        "class_map": parse_map(renamed or []),
    }
