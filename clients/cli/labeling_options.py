"""Options that say how images are labelled and what is kept of it, shared by `dap mine` and `dap plan`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.console import parse_numbers
from clients.cli.source_options import make_absolute, make_classifier_absolute, make_weights_absolute


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


def make_labeling_fields(
    *,
    recipe: str,
    scales: str | None,
    thresholds: str | None,
    nms_iou: float | None,
    classifier: str,
    weights: str | None,
    classes: Path | None,
    images: ImageStorage,
    cams: bool,
    engine: str,
    precision: str,
    device: str | None,
) -> dict[str, Any]:
    """The fields of a spec that these options stand for; local paths are made absolute. Raises ValueError."""
    return {
        "recipe": recipe,
        "short_sides": parse_numbers(scales, "--scales", int),
        "thresholds": parse_numbers(thresholds, "--thresholds", float),
        "nms_iou": nms_iou,
        "classifier": make_classifier_absolute(classifier),
        "weights": make_weights_absolute(weights),
        "classes": classes and make_absolute(str(classes)),
        "images": images.value,
        "cams": cams,
        "engine": engine,
        "precision": precision,
        "device": device,
    }
