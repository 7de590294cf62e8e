"""`dap synthetic`: a data set made on the spot."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from clients.cli.console import print_json, reports_errors, stderr, stdout


class SyntheticKind(StrEnum):
    """What an image is labelled with."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"


@reports_errors
def synthetic(
    destination: Annotated[str, typer.Argument(help="A new folder or s3://bucket/prefix.", show_default=False)],
    images: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    kind: Annotated[
        SyntheticKind, typer.Option(help="One class an image in folders by class, or several objects an image.")
    ] = SyntheticKind.CLASSIFICATION,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another set.")] = 0,
    classes: Annotated[int, typer.Option(min=2, help="How many classes.")] = 8,
    width: Annotated[int, typer.Option(min=96, help="Pixels.")] = 224,
    height: Annotated[int, typer.Option(min=96, help="Pixels.")] = 160,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make images of textured objects before cluttered backgrounds, with exact boxes, to try everything on.

    Classes differ by texture and by shape; other objects distract. The boxes are in annotations.json, in COCO layout.

    [bold]dap synthetic toys/ --images 2000[/bold]
    [bold]dap synthetic drawn/ --kind detection --images 200 --seed 1[/bold]
    """
    from dap_core.datasets import make_synthetic_set
    from services.storage import open_store

    with stderr.status(f"making {images} images"):
        made = make_synthetic_set(
            open_store(destination),
            num_images=images,
            seed=seed,
            kind=kind.value,
            size_wh=(width, height),
            num_classes=classes,
        )
    boxes = sum(len(image.boxes) for image in made.images)
    if as_json:
        print_json({"place": destination, "images": images, "boxes": boxes, "classes": list(made.class_names)})
        return
    stdout.print(f"{images:,} images, {boxes:,} boxes of {classes} classes in {destination}", markup=False)
