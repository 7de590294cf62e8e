"""`dap evaluate`: a trained detector against drawn boxes."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.data_options import DataOptions
from clients.cli.job_options import JobOptions
from clients.cli.option_groups import takes_groups
from clients.cli.prediction_options import PredictionOptions
from clients.cli.source_options import make_absolute


@reports_errors
@takes_groups
def evaluate(
    detector: Annotated[str, typer.Argument(help="Where a training run wrote its checkpoint.", show_default=False)],
    drawn: DataOptions,
    prediction: PredictionOptions,
    job: JobOptions,
    out: Annotated[
        str | None,
        typer.Option(
            help="Where figures, detections and a page go: a folder or s3://bucket/prefix.", show_default=False
        ),
    ] = None,
    shown: Annotated[int, typer.Option(min=1, max=500, help="Wrong boxes, and missed ones, that the page shows.")] = 60,
) -> None:
    """Measure a detector on images with drawn boxes: COCO AP, VOC AP50 both ways, and as a classifier.

    Where every image has boxes of one class, top-1 and top-5 are those of the class whose scores sum highest. Boxes
    marked difficult or as a crowd count neither way. docs/evaluation.md says what each figure means.

    [bold]dap evaluate runs/voc --data VOCdevkit --years 2007 --split test --out report/[/bold]
    [bold]dap evaluate runs/pets --data coco/ --map "tabby=cat"[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = {**drawn.make_fields(), **prediction.make_fields(), "detector": make_absolute(detector)}
    fields |= {"out": out and make_absolute(out), "shown": shown}
    run_or_print("evaluate", fields, options=job)
