"""What jobs ask for that run a trained detector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.jobs.specs import DataFields, FieldGroup, JobSpec, Place


class PredictionFields(FieldGroup):
    """Which detector is run, and how."""

    detector: Place
    """Where a training run wrote its checkpoint."""
    short_side: int | None = Field(None, ge=32, le=4096)
    """Pixels; left out, the largest that the detector was trained at."""
    mirror: bool = False
    """Whether each image is also run mirrored."""
    batch_size: int = Field(4, ge=1)
    """Images in a batch."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the numbers that it computes with."""
    device: str | None = None
    """cpu, cuda, cuda:1, ...; left out, a GPU if there is one."""


class EvaluateSpec(JobSpec, DataFields, PredictionFields):
    """Measure a detector on images with drawn boxes."""

    kind: Literal["evaluate"] = "evaluate"
    out: Place | None = None
    """Where figures, detections and the report go; left out, only the result of the job has the figures."""
    shown: int = Field(60, ge=1, le=500)
    """Wrong boxes, and missed ones, that the report shows."""


class PredictSpec(JobSpec, PredictionFields):
    """Write what a detector finds in images as a label set."""

    kind: Literal["predict"] = "predict"
    source: tuple[Place, ...] = Field(min_length=1)
    """One folder or bucket of images, or several image files."""
    images_from: Place | None = None
    """Text file with the keys of the images to use, one a line; names without folder or suffix do, too."""
    out: Place
    """Where the label set goes."""
    keep_score: float | None = Field(None, ge=0, le=1)
    """Boxes of a lower score are left out, but for the best one of each image."""
    images: Literal["embed", "reference"] = "embed"
    """Whether the label set holds the images or refers to them."""
    max_failures: float = Field(0.05, ge=0, le=1)
    """Share of failed images above which the run stops early."""
