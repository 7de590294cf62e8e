"""Options that say which images with drawn boxes are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from clients.cli.source_options import make_absolute, parse_map


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Images with drawn boxes, and which of them."""

    data: Annotated[
        str,
        typer.Option(
            help="Images with drawn boxes: COCO, VOC, VOCdevkit, YOLO, CSV, ...; a path or s3://bucket/prefix.",
            show_default=False,
        ),
    ]
    data_format: Annotated[
        str | None, typer.Option(help="Their format, where it cannot be told.", show_default=False)
    ] = None
    split: Annotated[
        str | None,
        typer.Option(help="Part to use, of CSV and YOLO; of a VOCdevkit the image set.", show_default=False),
    ] = None
    years: Annotated[str | None, typer.Option(help="Years of a VOCdevkit, such as 2007,2012.", show_default=False)] = (
        None
    )
    image_root: Annotated[
        str | None, typer.Option(help="Where the images are, if not beside the boxes.", show_default=False)
    ] = None
    inclusive: Annotated[bool, typer.Option("--inclusive", help="In a CSV, xmax and ymax are inside.")] = False
    images_from: Annotated[
        str | None,
        typer.Option(help="Text file with the keys of the images to use, or a shots.json.", show_default=False),
    ] = None
    leave_out: Annotated[
        str | None, typer.Option(help="Text file with the keys of images not to use.", show_default=False)
    ] = None
    renamed: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="CLASS=NAME", help="Another name for a class; CLASS= leaves it out. May repeat."),
    ] = None

    def make_fields(self) -> dict[str, Any]:
        """The fields of a spec that these options stand for; local paths are made absolute. Raises ValueError."""
        return {
            "data": make_absolute(self.data),
            "data_format": self.data_format,
            "split": self.split,
            "years": tuple(self.years.split(",")) if self.years else (),
            "image_root": self.image_root and make_absolute(self.image_root),
            "inclusive": self.inclusive,
            "images_from": self.images_from and make_absolute(self.images_from),
            "leave_out": self.leave_out and make_absolute(self.leave_out),
            "class_map": parse_map(self.renamed or []),
        }


@dataclass(frozen=True, kw_only=True)
class MeasuringOptions:
    """Images with drawn boxes on which a detector is measured while it trains."""

    test_data: Annotated[
        str | None,
        typer.Option(help="Measure its AP on these images while it trains; forms as of --data.", show_default=False),
    ] = None
    test_format: Annotated[
        str | None, typer.Option(help="Their format, where it cannot be told.", show_default=False)
    ] = None
    test_split: Annotated[str | None, typer.Option(help="Part of them, as --split.", show_default=False)] = None
    test_years: Annotated[str | None, typer.Option(help="Their years, as --years.", show_default=False)] = None
    test_image_root: Annotated[
        str | None, typer.Option(help="Where their images are, as --image-root.", show_default=False)
    ] = None
    measure_every: Annotated[int, typer.Option(min=1, help="Steps between measurements.")] = 50

    def make_fields(self) -> dict[str, Any]:
        """The fields of a spec that these options stand for; local paths are made absolute."""
        return {
            "test_data": self.test_data and make_absolute(self.test_data),
            "test_format": self.test_format,
            "test_split": self.test_split,
            "test_years": tuple(self.test_years.split(",")) if self.test_years else (),
            "test_image_root": self.test_image_root and make_absolute(self.test_image_root),
            "measure_every": self.measure_every,
        }
