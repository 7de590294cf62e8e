"""`dap pretrain`: a label set to a pre-trained detector."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.source_options import ClassesOption, WeightsOption, make_absolute
from clients.cli.training_options import (
    DecodersOption,
    JsonOption,
    PrintSpecOption,
    ResumeOption,
    SaveEveryOption,
    SeedOption,
    SetOption,
    TrainDeviceOption,
    TrainOutOption,
    TrainRayOption,
    WorkersOption,
    make_start_fields,
    make_train_fields,
)


@reports_errors
def pretrain(
    label_set: Annotated[str, typer.Argument(metavar="LABEL_SET", help="A label set, as `dap mine` makes it.")],
    out: TrainOutOption,
    recipe: Annotated[str, typer.Option(help="How it is trained; `dap recipes` lists them.")] = "pretrain-laptop",
    changes: SetOption = None,
    classifier: Annotated[
        str | None, typer.Option(help="Whose backbone it starts from. Left out, the one that drew the maps.")
    ] = None,
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    seed: SeedOption = 0,
    device: TrainDeviceOption = None,
    decoders: DecodersOption = None,
    save_every: SaveEveryOption = 100,
    resume: ResumeOption = False,
    workers: WorkersOption = None,
    ray: TrainRayOption = None,
    print_spec: PrintSpecOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a detector on the pseudo boxes of a label set (step 3 of the paper).

    It starts from the classifier that drew the maps. What is trained, and whether classes are told apart, follows from
    how many images and boxes there are, unless the recipe says. Run the same command again to go on with an
    interrupted run.

    [bold]dap pretrain labels/ --out runs/pretrained[/bold]
    [bold]dap pretrain s3://labels/animals --out s3://runs/animals --workers 2[/bold]
    [bold]dap pretrain labels/ --out runs/pretrained --set num_steps=300 --set trainable=all[/bold]
    """
    from clients.cli.job_running import run_or_print

    fields = make_train_fields(
        out=out,
        changes=changes,
        seed=seed,
        device=device,
        decoders=decoders,
        save_every=save_every,
        resume=resume,
        workers=workers,
        ray=ray,
    )
    fields |= {"label_set": make_absolute(label_set), "recipe": recipe}
    fields |= make_start_fields(classifier, weights, classes)
    run_or_print("pretrain", fields, print_spec=print_spec, as_json=as_json)
