"""`dap pretrain`: a label set to a pre-trained detector."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.job_options import JobOptions
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import make_absolute
from clients.cli.training_options import RecipeOption, StartOptions, TrainOptions


@reports_errors
@takes_groups
def pretrain(
    label_set: Annotated[str, typer.Argument(metavar="LABEL_SET", help="A label set, as `dap mine` makes it.")],
    training: TrainOptions,
    start: StartOptions,
    job: JobOptions,
    recipe: RecipeOption = "pretrain-laptop",
) -> None:
    """Train a detector on the pseudo boxes of a label set (step 3 of the paper).

    It starts from the classifier that drew the maps, unless another one is named. What is trained, and whether classes
    are told apart, follows from how many images there are, unless the recipe says. Run the same command again to go on
    with an interrupted run.

    [bold]dap pretrain labels/ --out runs/pretrained[/bold]
    [bold]dap pretrain s3://labels/animals --out s3://runs/animals --workers 2[/bold]
    [bold]dap pretrain labels/ --out runs/pretrained --set num_steps=300 --set trainable=all[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = {"label_set": make_absolute(label_set), "recipe": recipe, **training.make_fields(), **start.make_fields()}
    run_or_print("pretrain", fields, options=job)
