"""What can be asked for: one typed record for each kind of job.

The command line, Python and JSON make the same record; where it runs is not in it but for the number of labelers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from dap_core.datasets.voc import VocFlavor
from dap_core.errors import InputError
from dap_core.exports.options import ClassChoice, ExportFormat, ImageHandling
from dap_core.label_sets.plan_shards import MAX_SHARD_ROWS
from services.storage import is_remote, open_store


def check_place(place: str) -> str:
    """Raises InputError, a ValueError to pydantic, for what is no place or has credentials in it."""
    open_store(place)
    return place


Place = Annotated[str, Field(min_length=1), AfterValidator(check_place)]
"""A local path or `s3://bucket/prefix`; never with credentials."""


class FieldGroup(BaseModel):
    """Values of a spec that belong together; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


F = TypeVar("F", bound=FieldGroup)


class JobSpec(FieldGroup):
    """Base of all specs; `kind` tells them apart."""

    kind: str

    def to_json(self) -> str:
        """The spec as it is stored; what was left out is there with its value."""
        return self.model_dump_json(indent=2) + "\n"


class SourceFields(FieldGroup):
    """Which images are labelled, and where their labels come from."""

    source: tuple[Place, ...] = Field(min_length=1)
    """One folder, bucket, CSV or annotation file, or several image files."""
    labels: tuple[str, ...] = ()
    """The same labels for all images."""
    label_pattern: str | None = None
    """Regular expression whose group `label` finds the label in the key."""
    label_table: Place | None = None
    """CSV or Parquet file with the columns key and label."""
    label_map: dict[str, str] = Field(default_factory=dict)
    """Labels to mine for classes of annotations; an empty one leaves the class out."""

    @model_validator(mode="after")
    def _check_rules(self) -> SourceFields:
        given = [name for name in ("labels", "label_pattern", "label_table") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; give one of them")
        return self


class ClassifierFields(FieldGroup):
    """Which classifier draws the maps."""

    classifier: str = "lite0"
    """lite0 (bundled), a torchvision or timm network, or the place of a trained one."""
    weights: str | None = None
    """Local .safetensors or .pth file, or a torchvision weights name."""
    classes: str | None = None
    """CSV index,wnid,name for weights that are not ImageNet-1k."""


class RecipeFields(FieldGroup):
    """How boxes are mined: a named recipe, and what differs from it."""

    recipe: str = "aligned"
    """Settings of all steps: aligned, paper or official."""
    short_sides: tuple[int, ...] | None = None
    """Pixels to which the shorter side of an image is resized for its maps; left out, those of the recipe."""
    thresholds: tuple[float, ...] | None = None
    """Parts of a map's maximum at which its regions become boxes; left out, those of the recipe."""
    nms_iou: float | None = None
    """Overlap above which the weaker of two boxes of a class goes, 1 keeps all; left out, that of the recipe."""


class EngineFields(FieldGroup):
    """What the network runs on."""

    engine: Literal["auto", "openvino", "torch"] = "auto"
    """Left to auto, the fastest one that is installed."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the numbers that it computes with."""
    device: str | None = None
    """cpu, cuda, cuda:1, ...; left out, a GPU if there is one."""


class LabelingFields(ClassifierFields, RecipeFields, EngineFields):
    """How images are labelled, and what is kept of it."""

    images: Literal["embed", "reference"] = "embed"
    """Whether the label set holds the images or refers to them."""
    cams: bool = True
    """Whether it holds the maps."""


class DataFields(FieldGroup):
    """Images with drawn boxes, and which of them count."""

    data: Place
    """Annotations in any format that is read, or the folder `VOCdevkit`; a local path or `s3://bucket/prefix`."""
    data_format: str | None = None
    """Its format, where it cannot be told."""
    split: str | None = None
    """Part of it to use, of CSV and YOLO; of VOC the image set, such as trainval."""
    years: tuple[str, ...] = ()
    """Years of a VOCdevkit, such as 2007 and 2012."""
    image_root: Place | None = None
    """Where the images are, when the annotations do not lie beside them."""
    inclusive: bool = False
    """In a CSV, xmax and ymax are the last pixel inside."""
    images_from: Place | None = None
    """Text file with the keys of the images to use, one a line."""
    leave_out: Place | None = None
    """Text file with the keys of images not to use, one a line."""
    class_map: dict[str, str] = Field(default_factory=dict)
    """Other names for classes; an empty one leaves the class out."""
    shots: int | None = Field(None, ge=1)
    """Images of each class to draw; left out, all are used."""
    shot_seed: int = 0
    """Which images are drawn."""


class MineSpec(JobSpec, SourceFields, LabelingFields):
    """Mine pseudo boxes from images with image-level labels into a label set."""

    kind: Literal["mine"] = "mine"
    out: Place
    """Where the label set goes."""
    growth: Literal["none", "new-images", "failed-images"] = "none"
    """What is added to a label set that is there."""
    max_failures: float = Field(0.05, ge=0, le=1)
    """Share of failed images above which the run stops early."""
    shard_images: int = Field(MAX_SHARD_ROWS, ge=1, le=MAX_SHARD_ROWS)
    """Images in a shard at most. A labeler works on one shard at a time, so few images in large shards use few."""
    labelers: int | None = Field(None, ge=1)
    """Processes on Ray that label; left out, one process labels."""
    ray: str | None = None
    """Address of a Ray cluster; left out, a Ray of its own."""

    @model_validator(mode="after")
    def _check_ray(self) -> MineSpec:
        if self.ray is not None and self.labelers is None:
            raise ValueError("ray says where labelers run; say how many with labelers")
        return self


class RecutSpec(JobSpec):
    """Cut boxes again from the stored maps of a label set, into a new one."""

    kind: Literal["recut"] = "recut"
    label_set: Place
    """One that holds its maps."""
    out: Place
    """Where the new label set goes."""
    recipe: str | None = None
    """Left out, that of the label set."""
    short_sides: tuple[int, ...] | None = None
    """Of those that were run; pixels."""
    thresholds: tuple[float, ...] | None = None
    """Parts of a map's maximum at which its regions become boxes; left out, those of the label set."""
    nms_iou: float | None = None
    """Overlap above which the weaker of two boxes of a class goes, 1 keeps all; left out, that of the label set."""
    images: Literal["keep", "reference"] = "keep"
    """Whether embedded images are copied, or referred to where they were mined from (faster, smaller)."""


class ExportSpec(JobSpec):
    """Write the boxes of a label set in the format of another tool."""

    kind: Literal["export"] = "export"
    label_set: Place
    """Where mining, a recut or a prediction wrote it."""
    out: Place
    """A new or empty folder, or a place in a bucket."""
    format: ExportFormat = "coco"
    """What the other tool reads."""
    images: ImageHandling = "copy"
    """Copy the images, link to the source files, or write annotations only."""
    classes: ClassChoice | None = None
    """All classes of the label set, or those with a box; left out, what suits the format."""
    min_score: float = Field(0.0, allow_inf_nan=False)
    """Boxes of a lower score are left out; their images stay."""
    voc_flavor: VocFlavor = "devkit"
    """How corners are counted in VOC files."""

    @model_validator(mode="after")
    def _check_links(self) -> ExportSpec:
        if self.images == "link" and is_remote(self.out):
            raise ValueError("links need a local folder; with a bucket give images copy or none")
        return self


def check_values(model: type[F], values: Any, place: str) -> F:
    """The record of these values. Raises InputError naming each field, what was expected and what came."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        listed = "; ".join(_describe(item) for item in error.errors())
        raise InputError(f"{place}: {listed}") from error


def _describe(item: Any) -> str:
    field = ".".join(map(str, item["loc"]))
    message = item["msg"].removeprefix("Value error, ")
    return f"{field}: {message}, got {item['input']!r}" if field else message
