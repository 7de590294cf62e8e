"""`dap export-detector`: a trained detector as one file for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.console import print_json, reports_errors, stderr, stdout
from clients.cli.job_options import JsonOption
from clients.cli.quantities import format_bytes


class DetectorFormat(StrEnum):
    """Formats that a detector can be written in."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


@reports_errors
def export_detector(
    detector: Annotated[str, typer.Argument(help="Where a training run wrote its checkpoint.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The file to write.", show_default=False)],
    format_: Annotated[DetectorFormat, typer.Option("--format", help="What to write.")] = DetectorFormat.ONNX,
    as_json: JsonOption = False,
) -> None:
    """Write a detector as one file that runs without this project.

    The file takes one image, float32 [3, height, width] RGB in 0 to 1, resized as for training, and gives boxes, labels
    and scores; normalisation and NMS are inside. Height and width are free, a batch is not.

    [bold]dap export-detector runs/voc --format onnx --out voc.onnx[/bold]
    """
    from dap_core.detectors.exporting import export_detector as export_as
    from dap_core.detectors.labeling import choose_short_side
    from dap_core.errors import DestinationError, StoreError
    from dap_core.stores import LocalStore
    from services.places import open_checkpoint_at

    if out.is_dir():
        raise DestinationError(f"{out} is a folder; --out names the file, such as {out / f'detector.{format_.value}'}")
    with stderr.status(f"reading {detector}"):
        checkpoint = open_checkpoint_at(detector)
    with stderr.status(f"tracing {checkpoint.architecture}"):
        data = export_as(checkpoint.make_detector(), format_.value)
    try:
        LocalStore(out.parent).put(out.name, data)
    except StoreError as error:
        raise DestinationError(f"{out} cannot be written: {error}") from error
    short_side = choose_short_side(checkpoint)
    if as_json:
        print_json({"out": str(out), "format": format_.value, "bytes": len(data), "short_side": short_side})
    else:
        size = format_bytes(len(data))
        text = f"{out}  {size}; images go in with their short side at {short_side} px, as in training"
        stdout.print(text, markup=False, highlight=False, soft_wrap=True)
