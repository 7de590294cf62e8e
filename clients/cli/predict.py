"""`dap predict`: what a trained detector finds in images, as a label set."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.job_options import JobOptions
from clients.cli.labeling_options import ImagesOption, ImageStorage
from clients.cli.option_groups import takes_groups
from clients.cli.prediction_options import PredictionOptions
from clients.cli.source_options import make_absolute


@reports_errors
@takes_groups
def predict(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES...", help="A folder or s3://bucket/prefix, or image files.", show_default=False),
    ],
    detector: Annotated[str, typer.Option(help="Where a training run wrote its checkpoint.", show_default=False)],
    out: Annotated[str, typer.Option(help="Where the label set goes: a folder or s3://bucket/prefix.")],
    prediction: PredictionOptions,
    job: JobOptions,
    images_from: Annotated[
        str | None,
        typer.Option(
            help="Text file with the images to use, such as a VOC image set; suffixes may be missing.",
            show_default=False,
        ),
    ] = None,
    keep_score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Keep boxes of this score and above, and the best of each image; self-training takes 0.6.",
            show_default=False,
        ),
    ] = None,
    storage: ImagesOption = ImageStorage.EMBED,
    max_failures: Annotated[
        float, typer.Option(min=0, max=1, help="Stop early when more than this share of the images failed.")
    ] = 0.05,
) -> None:
    """Run a detector over images and write its boxes as a label set.

    The label set can be shown, exported, verified and trained on like a mined one; it holds no maps, so it cannot be
    cut again. A bad image becomes a listed failure; the same command again finishes an interrupted run.

    [bold]dap predict photos/ --detector runs/voc --out found/[/bold]
    [bold]dap predict VOC2012/JPEGImages --detector runs/voc07 --mirror --keep-score 0.6 --out pseudo/[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = {
        **prediction.make_fields(),
        "detector": make_absolute(detector),
        "source": tuple(map(make_absolute, images)),
        "images_from": images_from and make_absolute(images_from),
        "out": make_absolute(out),
        "keep_score": keep_score,
        "images": storage.value,
        "max_failures": max_failures,
    }
    run_or_print("predict", fields, options=job)
