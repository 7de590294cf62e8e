"""`dap train-classifier`: images with labels to a classifier, or to a last layer for one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.job_options import JobOptions
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import (
    LabelRuleOptions,
    SourceArgument,
    WeightsOption,
    make_absolute,
    make_classifier_absolute,
    make_weights_absolute,
)
from clients.cli.training_options import TrainOptions


@reports_errors
@takes_groups
def train_classifier(
    source: SourceArgument,
    training: TrainOptions,
    rules: LabelRuleOptions,
    job: JobOptions,
    head_only: Annotated[
        bool, typer.Option("--head-only", help="Fit the last layer alone, to features that are computed once.")
    ] = False,
    start: Annotated[
        str,
        typer.Option(
            help="What it starts from: lite0 (bundled), a torchvision or timm network, or a trained classifier."
        ),
    ] = "lite0",
    weights: WeightsOption = None,
    classes: Annotated[
        Path | None, typer.Option(help="CSV index,wnid,name of the classes. Left out, every label is a class.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="classifier-laptop, or classifier-in14m (the paper's).")] = (
        "classifier-laptop"
    ),
    holdout: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of each class that is kept aside and measured on at the end.")
    ] = 0.1,
    short_side: Annotated[
        int | None,
        typer.Option(
            min=32,
            max=4096,
            help="Pixels of the images a last layer is fitted to, and of those measured on. "
            "[dim]288 with --head-only, else of the recipe[/dim]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a classifier on images with labels (step 1 of the paper); `dap mine --classifier` draws maps with it.

    With --head-only, one pass over the images computes the features of a trained network, and a last layer for the
    classes of the source is fitted to them. Run the same command again to go on with an interrupted run.

    [bold]dap train-classifier photos/ --head-only --out runs/my-head[/bold]   photos/CLASS/IMAGE.jpg
    [bold]dap train-classifier photos/ --out runs/tuned --set num_steps=1000[/bold]
    [bold]dap train-classifier s3://photos/animals --start resnet18 --weights random --out s3://runs/animals[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = rules.make_fields(source)
    fields |= training.make_fields()
    fields |= {"start": make_classifier_absolute(start), "weights": make_weights_absolute(weights)}
    fields |= {"classes": classes and make_absolute(str(classes)), "head_only": head_only, "recipe": recipe}
    fields |= {"holdout": holdout, "short_side": short_side}
    run_or_print("train-classifier", fields, options=job)
