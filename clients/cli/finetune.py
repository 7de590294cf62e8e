"""`dap finetune`: a pre-trained detector and drawn boxes to a detector."""

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
def finetune(
    data: DataOption,
    out: TrainOutOption,
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="CHECKPOINT", help="A pre-trained detector, where `dap pretrain` wrote it.", show_default=False
        ),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(help="Start from a classifier alone, such as lite0: what pre-training is compared with."),
    ] = None,
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    data_format: DataFormatOption = None,
    split: SplitOption = None,
    years: YearsOption = None,
    image_root: ImageRootOption = None,
    inclusive: InclusiveOption = False,
    images_from: ImagesFromOption = None,
    leave_out: LeaveOutOption = None,
    renamed: ClassMapOption = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Draw so many images of each class.")] = None,
    shot_seed: Annotated[int, typer.Option(min=0, help="Which images are drawn.")] = 0,
    recipe: Annotated[str, typer.Option(help="How it is trained; `dap recipes` lists them.")] = "finetune-laptop",
    changes: SetOption = None,
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
    """Train a detector on drawn boxes (step 4 of the paper), from a pre-trained one or from a classifier alone.

    Every layer of the checkpoint is taken over but the last ones, which depend on the classes. The images that --shots
    draws are listed in shots.json. Run the same command again to go on with an interrupted run.

    [bold]dap finetune runs/pretrained --data kangaroo/ --shots 10 --out runs/kangaroo[/bold]
    [bold]dap finetune --classifier lite0 --data kangaroo/ --shots 10 --out runs/without[/bold]
    [bold]dap finetune s3://runs/in1m --data VOCdevkit --years 2007,2012 --recipe finetune-voc0712 --out voc/[/bold]
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
    fields |= make_train_fields(
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
    fields |= {"checkpoint": checkpoint and make_absolute(checkpoint), "recipe": recipe}
    fields |= {"shots": shots, "shot_seed": shot_seed, **make_start_fields(classifier, weights, classes)}
    run_or_print("finetune", fields, print_spec=print_spec, as_json=as_json)
