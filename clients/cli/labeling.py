"""The two ways of `dap label`: both give items as the HTTP interface has them (docs/http-api.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dap_core.labeler import PseudoLabeler
    from dap_core.types import FailedImage, LabeledImage

Item = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be labelled, and how; None stands for the default. Pictures go to the folder `overlay`."""

    images: tuple[Path, ...]
    labels: tuple[str, ...]
    recipe: str | None = None
    thresholds: tuple[float, ...] | None = None
    scales: tuple[int, ...] | None = None
    nms_iou: float | None = None
    overlay: Path | None = None

    def to_options(self) -> dict[str, Any]:
        """The keyword arguments of the client's methods."""
        return {"recipe": self.recipe, "thresholds": self.thresholds, "scales": self.scales, "nms_iou": self.nms_iou}


@dataclass(frozen=True, slots=True)
class Labeled:
    """An item for each image in order, and what they were made with."""

    items: list[Item]
    model: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)


def label_by_service(asked: Asked, url: str, api_key: str | None) -> Labeled:
    """What the service at `url` finds. Raises the errors of `dap_client`."""
    from dap_client import Client

    paths, labels, options = asked.images, list(asked.labels), asked.to_options()
    items = {index: _try_to_open(path) for index, path in enumerate(paths)}
    readable = [index for index, problem in items.items() if problem is None]
    with Client(url, api_key=api_key) as client:
        results = client.label([paths[index] for index in readable], labels, **options)
        for index, result in zip(readable, results, strict=True):
            items[index] = {**result.raw, "index": index}
            if asked.overlay and result.problem is None:
                _write_overlay(asked, index, client.overlay(paths[index], labels, **options))
    head = next((result for result in results if result.model), None)
    ordered = [{"index": index, "name": str(paths[index]), **(item or {})} for index, item in items.items()]
    return Labeled(ordered, dict(head.model) if head else {}, dict(head.recipe) if head else {})


def label_here(asked: Asked) -> Labeled:
    """What a labeler of this process finds. Raises InputError for a recipe or a label that is not known."""
    from dap_core.labeler import PseudoLabeler
    from dap_core.recipes import DEFAULT_RECIPE, customise_recipe, get_recipe
    from dap_core.types import AUTO
    from services.api.answers import describe_model
    from services.labeling import ModelInfo

    recipe = customise_recipe(
        get_recipe(asked.recipe or DEFAULT_RECIPE.name),
        short_sides=asked.scales,
        thresholds=asked.thresholds,
        nms_iou=asked.nms_iou,
    )
    labeler = PseudoLabeler(recipe=recipe)
    classifier, engine = labeler.classifier, labeler.engine
    if asked.labels != (AUTO,):
        for label in asked.labels:
            classifier.classes.index_of(label)
    found = labeler.label_stream((path, asked.labels) for path in asked.images)
    items = [_describe(labeler, asked, index, image) for index, image in enumerate(found)]
    model = ModelInfo(classifier.name, classifier.weights_sha256, classifier.classes, engine.name, engine.precision)
    return Labeled(items, describe_model(model), recipe.to_dict())


def _describe(labeler: PseudoLabeler, asked: Asked, index: int, image: LabeledImage | FailedImage) -> Item:
    """The item of an image, and its picture if wanted."""
    from dap_core.gallery import draw_overlay
    from dap_core.images import decode_image
    from dap_core.types import FailedImage
    from services.api.answers import describe_image

    path = asked.images[index]
    head = {"index": index, "name": str(path)}
    if isinstance(image, FailedImage):
        return {**head, "problem": _describe_problem(image.error.error_type, str(image.error))}
    if asked.overlay:
        _write_overlay(asked, index, draw_overlay(decode_image(path.read_bytes()).pixels, image, labeler.recipe))
    return {**head, **describe_image(image, labeler.classifier.classes, cams=False)}


def _describe_problem(slug: str, detail: str) -> dict[str, Any]:
    """A problem without what only an HTTP answer has."""
    return {"type": f"/problems/{slug}", "title": slug.replace("-", " "), "detail": detail, "retryable": False}


def _try_to_open(path: Path) -> Item | None:
    """None for a file that can be read, else an item that says why not."""
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        detail = f"{str(path)!r} cannot be read: {error.strerror or error}"
        return {"problem": _describe_problem("unreadable-file", detail)}


def _write_overlay(asked: Asked, index: int, png: bytes) -> None:
    """Writes a picture, called after its image with an ending of its own, so that it never replaces the image."""
    assert asked.overlay is not None
    name = asked.images[index].name
    is_alone = [path.name for path in asked.images].count(name) == 1
    asked.overlay.mkdir(parents=True, exist_ok=True)
    (asked.overlay / f"{'' if is_alone else f'{index}-'}{name}.boxes.png").write_bytes(png)
