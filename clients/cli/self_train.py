"""`dap self-train`: a detector trained further on images that nobody has drawn boxes on."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.data_options import DataOptions, MeasuringOptions
from clients.cli.job_options import JobOptions
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import make_absolute
from clients.cli.training_options import RecipeOption, TrainOptions


@reports_errors
@takes_groups
def self_train(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A detector, where `dap finetune` wrote it.")],
    drawn: DataOptions,
    images: Annotated[
        list[str], typer.Option("--images", help="Images without boxes: a folder, s3://bucket/prefix, or files.")
    ],
    labels: Annotated[str, typer.Option("--labels", help="Where the label set of what it finds goes.")],
    training: TrainOptions,
    measuring: MeasuringOptions,
    job: JobOptions,
    keep_score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out boxes of a lower score, but for the best of each image.")
    ] = 0.6,
    recipe: RecipeOption = "self-train-laptop",
) -> None:
    """Train a detector further on its drawn boxes and on what it finds in images without any (table 9).

    The detector looks at each image and at its mirror image; what it finds becomes a label set, which is trained on
    together with the drawn boxes. All layers of the checkpoint are kept.

    [bold]dap self-train runs/voc07 --data voc07/ --images voc12/JPEGImages --labels found/ --out runs/more[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = {**drawn.make_fields(), **training.make_fields(), "recipe": recipe, "keep_score": keep_score}
    fields |= measuring.make_fields()
    fields |= {"checkpoint": make_absolute(checkpoint), "images": tuple(map(make_absolute, images))}
    fields |= {"labels": make_absolute(labels)}
    run_or_print("self-train", fields, options=job)
