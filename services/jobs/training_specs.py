"""What training jobs ask for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.jobs.specs import DataFields, FieldGroup, JobSpec, Place


class TrainFields(FieldGroup):
    """How a model is trained, where, and where it goes."""

    out: Place
    """Where the run and its checkpoint go; a run that was begun there with the same values goes on."""
    resume: bool = False
    """Whether there has to be a run to go on with; it is gone on with in any case."""
    changes: dict[str, str] = Field(default_factory=dict)
    """Values of the recipe that differ, by their names."""
    seed: int = Field(0, ge=0)
    """Of the random layers and of the order of the images."""
    device: str | None = None
    """cpu, cuda, cuda:1, ...; left out, a GPU if there is one."""
    decoders: int | None = Field(None, ge=0)
    """Processes that decode images, for each worker; 0 decodes in the process that trains."""
    save_every: int = Field(100, ge=1)
    """Steps between states to go on from."""
    keep: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Steps after which the model is kept, too, in `steps/<step>` of the place."""
    workers: int | None = Field(None, ge=1)
    """Processes on Ray that train together; left out, one process trains."""
    ray: str | None = None
    """Address of a Ray cluster; left out, a Ray of its own."""

    @model_validator(mode="after")
    def _check_ray(self) -> TrainFields:
        if self.ray is not None and self.workers is None:
            raise ValueError("ray says where workers run; say how many with workers")
        return self


class MeasuringFields(DataFields):
    """Images with drawn boxes to train on, and others on which the detector is only measured while it trains."""

    test_data: Place | None = None
    """Annotations in any format that is read; left out, it is not measured. `class_map` goes for them, too."""
    test_format: str | None = None
    """Their format, where it cannot be told."""
    test_split: str | None = None
    """Part of them to use, of CSV and YOLO; of VOC the image set, such as test."""
    test_years: tuple[str, ...] = ()
    """Years of a VOCdevkit."""
    test_image_root: Place | None = None
    """Where their images are, when the annotations do not lie beside them."""
    measure_every: int = Field(50, ge=1)
    """Steps between measurements; the last step is measured in any case."""


class PretrainSpec(JobSpec, TrainFields):
    """Train a detector on the pseudo boxes of a label set (step 3 of the paper)."""

    kind: Literal["pretrain"] = "pretrain"
    label_set: Place
    """Where mining, a recut or a prediction wrote it."""
    recipe: str = "pretrain-laptop"
    """How it is trained; `dap recipes` lists them."""
    classifier: str | None = None
    """Whose backbone the detector starts from; left out, the one that drew the maps."""
    weights: str | None = None
    """Local .safetensors or .pth file, or a torchvision weights name."""
    classes: str | None = None
    """CSV index,wnid,name for weights that are not ImageNet-1k."""


class SelfTrainSpec(JobSpec, MeasuringFields, TrainFields):
    """Train a detector further on its drawn boxes and on what it finds in images without any (table 9)."""

    kind: Literal["self-train"] = "self-train"
    checkpoint: Place
    """The fine-tuned detector."""
    images: tuple[Place, ...] = Field(min_length=1)
    """Images without boxes: one folder or bucket, or several files."""
    labels: Place
    """Where the label set of what it finds goes."""
    keep_score: float = Field(0.6, ge=0, le=1)
    """Boxes of a lower score are left out, but for the best one of each image (the authors' script)."""
    recipe: str = "self-train-laptop"
    """How it is trained; `dap recipes` lists them."""


class FinetuneSpec(JobSpec, MeasuringFields, TrainFields):
    """Train a detector on drawn boxes (step 4), from a pre-trained one or from a classifier alone."""

    kind: Literal["finetune"] = "finetune"
    checkpoint: Place | None = None
    """A pre-trained detector; left out, the detector starts from `classifier`."""
    recipe: str = "finetune-laptop"
    """How it is trained; `dap recipes` lists them."""
    classifier: str | None = None
    """Whose backbone a detector starts from that was not pre-trained, such as lite0."""
    weights: str | None = None
    """Local .safetensors or .pth file, or a torchvision weights name."""
    classes: str | None = None
    """CSV index,wnid,name for weights that are not ImageNet-1k."""

    @model_validator(mode="after")
    def _check_start(self) -> FinetuneSpec:
        if (self.checkpoint is None) == (self.classifier is None):
            raise ValueError("a detector starts from a checkpoint or from a classifier; give one of them")
        if self.checkpoint is not None and (self.weights or self.classes):
            raise ValueError("weights and classes are those of a classifier; a checkpoint has its own")
        return self
