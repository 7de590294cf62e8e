"""Options that say how images are labelled and what is kept of it, shared by `dap mine` and `dap plan`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.console import parse_numbers

if TYPE_CHECKING:
    from dap_core.recipes import Recipe


class ImageStorage(StrEnum):
    """Whether a label set holds the images or refers to them."""

    EMBED = "embed"
    REFERENCE = "reference"


RecipeOption = Annotated[
    str, typer.Option(help="Named way to mine: aligned (ours), paper (the text), official (the authors' script).")
]
ScalesOption = Annotated[str | None, typer.Option(help="Short sides in pixels. [dim]recipe: 288,576[/dim]")]
ThresholdsOption = Annotated[str | None, typer.Option(help="CAM thresholds. [dim]default: of the recipe[/dim]")]
NmsIouOption = Annotated[float | None, typer.Option(help="NMS IoU; 1 keeps all. [dim]recipe: 0.8[/dim]")]
ImagesOption = Annotated[ImageStorage, typer.Option(help="Store the images in the label set, or only refer to them.")]
CamsOption = Annotated[bool, typer.Option(help="Store the maps, so that boxes can be cut again.")]
EngineOption = Annotated[str, typer.Option(help="auto, openvino or torch; `dap doctor` says what there is.")]
PrecisionOption = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, ... Left out: a GPU if there is one.", show_default=False)
]


def choose_recipe(name: str, scales: str | None, thresholds: str | None, nms_iou: float | None) -> Recipe:
    """The named recipe with what the options change. Raises InputError, ValueError."""
    from dap_core.recipes import customise_recipe, get_recipe

    return customise_recipe(
        get_recipe(name),
        short_sides=parse_numbers(scales, "--scales", int),
        thresholds=parse_numbers(thresholds, "--thresholds", float),
        nms_iou=nms_iou,
    )
