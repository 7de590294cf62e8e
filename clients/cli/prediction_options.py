"""Options that say how a trained detector is run, shared by `dap evaluate` and `dap predict`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from clients.cli.labeling_options import DeviceOption


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """How a detector is run."""

    short_side: Annotated[
        int | None,
        typer.Option(
            min=32, max=4096, help="Short side in pixels. Left out: the largest it was trained at.", show_default=False
        ),
    ] = None
    mirror: Annotated[bool, typer.Option("--mirror", help="Also run each image mirrored, and merge the boxes.")] = False
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a batch.")] = 4
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32"
    device: DeviceOption = None

    def make_fields(self) -> dict[str, Any]:
        """The fields of a spec that these options stand for."""
        return asdict(self)
