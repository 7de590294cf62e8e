"""`dap self-train`: a detector trained further on images that nobody has drawn boxes on."""

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
from clients.cli.source_options import make_absolute
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
    make_train_fields,
)


@reports_errors
def self_train(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A detector, where `dap finetune` wrote it.")],
    data: DataOption,
    images: Annotated[
        list[str], typer.Option("--images", help="Images without boxes: a folder, s3://bucket/prefix, or files.")
    ],
    labels: Annotated[str, typer.Option("--labels", help="Where the label set of what it finds goes.")],
    out: TrainOutOption,
    keep_score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out boxes of a lower score, but for the best of each image.")
    ] = 0.6,
    data_format: DataFormatOption = None,
    split: SplitOption = None,
    years: YearsOption = None,
    image_root: ImageRootOption = None,
    inclusive: InclusiveOption = False,
    images_from: ImagesFromOption = None,
    leave_out: LeaveOutOption = None,
    renamed: ClassMapOption = None,
    recipe: Annotated[str, typer.Option(help="How it is trained; `dap recipes` lists them.")] = "self-train-laptop",
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
    """Train a detector further on its drawn boxes and on what it finds in images without any (table 9).

    The detector looks at each image and at its mirror image; what it finds becomes a label set, which is trained on
    together with the drawn boxes. All layers of the checkpoint are kept.

    [bold]dap self-train runs/voc07 --data voc07/ --images voc12/JPEGImages --labels found/ --out runs/more[/bold]
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
    fields |= {"checkpoint": make_absolute(checkpoint), "images": tuple(map(make_absolute, images))}
    fields |= {"labels": make_absolute(labels), "keep_score": keep_score, "recipe": recipe}
    run_or_print("self-train", fields, print_spec=print_spec, as_json=as_json)
