"""`dap finetune`: a pre-trained detector and drawn boxes to a detector."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.data_options import DataOptions, MeasuringOptions
from clients.cli.job_options import JobOptions
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import make_absolute
from clients.cli.training_options import RecipeOption, StartOptions, TrainOptions


@reports_errors
@takes_groups
def finetune(
    drawn: DataOptions,
    training: TrainOptions,
    start: StartOptions,
    measuring: MeasuringOptions,
    job: JobOptions,
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="CHECKPOINT", help="A pre-trained detector, where `dap pretrain` wrote it.", show_default=False
        ),
    ] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Draw so many images of each class.")] = None,
    shot_seed: Annotated[int, typer.Option(min=0, help="Which images are drawn.")] = 0,
    recipe: RecipeOption = "finetune-laptop",
) -> None:
    """Train a detector on drawn boxes (step 4 of the paper), from a pre-trained one or from a classifier alone.

    Every layer of the checkpoint is taken over but the last ones, which depend on the classes. --classifier in its
    place starts without pre-training, to compare with. The images that --shots draws are listed in shots.json. Run the
    same command again to go on with an interrupted run.

    [bold]dap finetune runs/pretrained --data kangaroo/ --shots 10 --out runs/kangaroo[/bold]
    [bold]dap finetune --classifier lite0 --data kangaroo/ --shots 10 --out runs/without[/bold]
    [bold]dap finetune s3://runs/in1m --data VOCdevkit --years 2007,2012 --recipe finetune-voc0712 --out voc/[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = {**drawn.make_fields(), **training.make_fields(), **start.make_fields(), **measuring.make_fields()}
    fields |= {"checkpoint": checkpoint and make_absolute(checkpoint), "recipe": recipe}
    fields |= {"shots": shots, "shot_seed": shot_seed}
    run_or_print("finetune", fields, options=job)
