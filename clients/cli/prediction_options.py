"""Options that say how a trained detector is run, shared by `dap evaluate` and `dap predict`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.source_options import make_absolute

ShortSideOption = Annotated[
    int | None,
    typer.Option(
        min=32, max=4096, help="Short side in pixels. Left out: the largest it was trained at.", show_default=False
    ),
]
MirrorOption = Annotated[bool, typer.Option("--mirror", help="Also run each image mirrored, and merge the boxes.")]
BatchSizeOption = Annotated[int, typer.Option(min=1, help="Images in a batch.")]
PrecisionOption = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]


def make_prediction_fields(
    detector: str, *, short_side: int | None, mirror: bool, batch_size: int, precision: str, device: str | None
) -> dict[str, Any]:
    """The fields of a spec that these options stand for; a local path is made absolute."""
    return {
        "detector": make_absolute(detector),
        "short_side": short_side,
        "mirror": mirror,
        "batch_size": batch_size,
        "precision": precision,
        "device": device,
    }
