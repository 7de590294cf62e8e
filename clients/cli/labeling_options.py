"""Options that say how images are labelled and what is kept of it, shared by `dap mine` and `dap plan`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from clients.cli.console import parse_numbers
from clients.cli.source_options import (
    ClassesOption,
    ClassifierOption,
    WeightsOption,
    make_absolute,
    make_classifier_absolute,
    make_weights_absolute,
)


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


@dataclass(frozen=True, kw_only=True)
class LabelingOptions:
    """How images are labelled, and what is kept of it."""

    recipe: RecipeOption = "aligned"
    classifier: ClassifierOption = "lite0"
    weights: WeightsOption = None
    classes: ClassesOption = None
    scales: ScalesOption = None
    thresholds: ThresholdsOption = None
    nms_iou: NmsIouOption = None
    images: ImagesOption = ImageStorage.EMBED
    cams: CamsOption = True
    engine: EngineOption = "auto"
    precision: PrecisionOption = "auto"
    device: DeviceOption = None

    def make_fields(self) -> dict[str, Any]:
        """The fields of a spec that these options stand for; local paths are made absolute. Raises ValueError."""
        return {
            "recipe": self.recipe,
            "short_sides": parse_numbers(self.scales, "--scales", int),
            "thresholds": parse_numbers(self.thresholds, "--thresholds", float),
            "nms_iou": self.nms_iou,
            "classifier": make_classifier_absolute(self.classifier),
            "weights": make_weights_absolute(self.weights),
            "classes": self.classes and make_absolute(str(self.classes)),
            "images": self.images.value,
            "cams": self.cams,
            "engine": self.engine,
            "precision": self.precision,
            "device": self.device,
        }
