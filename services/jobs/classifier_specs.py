"""What jobs ask for that train a classifier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from services.jobs.specs import JobSpec, SourceFields
from services.jobs.training_specs import TrainFields


class TrainClassifierSpec(JobSpec, SourceFields, TrainFields):
    """Train a classifier on images with image-level labels (step 1 of the paper), or only its last layer."""

    kind: Literal["train-classifier"] = "train-classifier"
    start: str = "lite0"
    """The network it starts from: lite0 (bundled), a torchvision or timm network, or the place of a trained one.

    Its last layer is new, unless it was trained to the same classes."""
    weights: str | None = None
    """Those of the start: local .safetensors or .pth file, a torchvision weights name, or random."""
    classes: str | None = None
    """CSV index,wnid,name of the classes to train; left out, every label is a class."""
    head_only: bool = False
    """Fit the last layer alone, on features that are computed once."""
    recipe: str = "classifier-laptop"
    """How it is trained; `dap recipes` lists them."""
    holdout: float = Field(0.1, ge=0, lt=1)
    """Share of each class that is kept aside and measured on at the end."""
    short_side: int | None = Field(None, ge=32, le=4096)
    """Pixels of the images that a last layer is fitted to, and that are measured on; left out, 288 for a last layer
    alone, else what the recipe says."""

    @model_validator(mode="after")
    def _check_head(self) -> TrainClassifierSpec:
        if self.head_only and self.workers is not None:
            raise ValueError("a last layer is fitted in one process; leave out workers")
        if self.head_only and self.weights == "random":
            raise ValueError("a last layer needs a trained network below it, and weights are random")
        return self
