"""`dap evaluate`: a trained detector against drawn boxes."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.data_options import (
    ClassMapOption,
    DataFormatOption,
    DataOption,
    ImageRootOption,
    ImagesFromOption,
    InclusiveOption,
    LeaveOutOption,
    SplitOption,
    YearsOption,
    make_data_fields,
)
from clients.cli.labeling_options import DeviceOption
from clients.cli.prediction_options import (
    BatchSizeOption,
    MirrorOption,
    PrecisionOption,
    ShortSideOption,
    make_prediction_fields,
)
from clients.cli.source_options import make_absolute
from clients.cli.training_options import JsonOption, PrintSpecOption


@reports_errors
def evaluate(
    detector: Annotated[str, typer.Argument(help="Where a training run wrote its checkpoint.", show_default=False)],
    data: DataOption,
    out: Annotated[
        str | None,
        typer.Option(
            help="Where figures, detections and a page go: a folder or s3://bucket/prefix.", show_default=False
        ),
    ] = None,
    data_format: DataFormatOption = None,
    split: SplitOption = None,
    years: YearsOption = None,
    image_root: ImageRootOption = None,
    inclusive: InclusiveOption = False,
    images_from: ImagesFromOption = None,
    leave_out: LeaveOutOption = None,
    renamed: ClassMapOption = None,
    short_side: ShortSideOption = None,
    mirror: MirrorOption = False,
    batch_size: BatchSizeOption = 4,
    precision: PrecisionOption = "float32",
    device: DeviceOption = None,
    shown: Annotated[int, typer.Option(min=1, max=500, help="Wrong boxes, and missed ones, that the page shows.")] = 60,
    print_spec: PrintSpecOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a detector on images with drawn boxes: COCO AP, VOC AP50 both ways, and as a classifier.

    Where every image has boxes of one class, top-1 and top-5 are those of the class whose scores sum highest. Boxes
    marked difficult or as a crowd count neither way. docs/evaluation.md says what each figure means.

    [bold]dap evaluate runs/voc --data VOCdevkit --years 2007 --split test --out report/[/bold]
    [bold]dap evaluate runs/pets --data coco/ --map "tabby=cat"[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = make_data_fields(
        data,
        data_format=data_format,
        split=split,
        years=years,
        image_root=image_root,
        inclusive=inclusive,
        images_from=images_from,
        leave_out=leave_out,
        renamed=renamed,
    )
    fields |= make_prediction_fields(
        detector, short_side=short_side, mirror=mirror, batch_size=batch_size, precision=precision, device=device
    )
    fields |= {"out": out and make_absolute(out), "shown": shown}
    run_or_print("evaluate", fields, print_spec=print_spec, as_json=as_json)
