"""`PseudoLabeler`: the only code that turns images and labels into pseudo boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dap_core.cam import compute_cams, compute_logits, run_passes
from dap_core.classifiers import DEFAULT_CLASSIFIER, Classifier, load_classifier
from dap_core.engines import Engine, TorchEngine
from dap_core.errors import ImageError, UnknownLabelError
from dap_core.images import DecodedImage, ImageLimits, decode_image, image_from_pillow, image_from_pixels
from dap_core.mining import mine_boxes
from dap_core.recipes import DEFAULT_RECIPE, Recipe, get_recipe
from dap_core.types import FailedImage, Label, LabeledImage

AUTO = "auto"
"""The label that stands for the classifier's own first choice."""

ImageLike: TypeAlias = bytes | str | Path | NDArray[np.uint8] | Image.Image
Labels: TypeAlias = Label | Sequence[Label]


class PseudoLabeler:
    """Mines pseudo boxes from images with image-level labels (step 2 of the paper).

    >>> from dap_core import PseudoLabeler
    >>> from skimage.data import chelsea
    >>> labeler = PseudoLabeler()
    >>> [cat] = labeler([chelsea()], ["Egyptian cat"])
    >>> labeler.classifier.classes[cat.labels[0]].wnid, cat.boxes.boxes.shape[1]
    ('n02124075', 4)
    """

    def __init__(
        self,
        classifier: Classifier | str = DEFAULT_CLASSIFIER,
        *,
        weights: str | Path | None = None,
        recipe: Recipe | str = DEFAULT_RECIPE,
        engine: Engine | None = None,
        device: str | torch.device | None = None,
        limits: ImageLimits | None = None,
    ) -> None:
        """Loads the classifier unless given one, and the engine that runs it.

        Raises ClassifierError for a network or weights that cannot be used and InputError for an
        unknown recipe.
        """
        self.recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
        if engine is None:
            loaded = load_classifier(classifier, weights=weights) if isinstance(classifier, str) else classifier
            engine = TorchEngine(loaded, device=device)
        self.engine = engine
        self.limits = limits or ImageLimits()

    @property
    def classifier(self) -> Classifier:
        """The classifier that draws the maps."""
        return self.engine.classifier

    def __call__(self, images: Sequence[ImageLike], labels: Sequence[Labels]) -> list[LabeledImage]:
        """Boxes for each image, in order.

        An image is encoded bytes, a path, an RGB array uint8 [H, W, 3], or a PIL image. Its labels are one
        or several of wnid, name or index, or `"auto"` for the classifier's first choice.

        Raises ImageError or UnknownLabelError for the first image that cannot be labelled, ValueError when
        the two sequences differ in length.
        """
        results = []
        for item in self.label_each(images, labels):
            if isinstance(item, FailedImage):
                raise item.error
            results.append(item)
        return results

    def label_each(self, images: Sequence[ImageLike], labels: Sequence[Labels]) -> list[LabeledImage | FailedImage]:
        """As calling the labeler, but an image that cannot be labelled gives a `FailedImage` in its place."""
        if len(images) != len(labels):
            raise ValueError(f"as many labels as images are needed, got {len(images)} images and {len(labels)} labels")
        return [self._label_or_fail(image, label) for image, label in zip(images, labels, strict=True)]

    def _label_or_fail(self, image: ImageLike, labels: Labels) -> LabeledImage | FailedImage:
        try:
            indices = self._resolve(labels)
            return self._label(self._decode(image), indices)
        except (ImageError, UnknownLabelError) as error:
            return FailedImage(error)

    def _resolve(self, labels: Labels) -> tuple[int, ...] | None:
        """Indices of the labels; None stands for the classifier's own choice."""
        several: Sequence[Any] = labels if isinstance(labels, Sequence) and not isinstance(labels, str) else [labels]
        if tuple(several) == (AUTO,):
            return None
        if not several:
            raise ImageError("no-label", "the image has no label; give one, or auto for the classifier's own")
        return tuple(dict.fromkeys(self.classifier.classes.index_of(label) for label in several))

    def _decode(self, image: ImageLike) -> DecodedImage:
        if isinstance(image, np.ndarray):
            return image_from_pixels(image, self.limits)
        if isinstance(image, Image.Image):
            return image_from_pillow(image, self.limits)
        return decode_image(image if isinstance(image, bytes) else _read_file(Path(image)), self.limits)

    @torch.inference_mode()
    def _label(self, image: DecodedImage, labels: tuple[int, ...] | None) -> LabeledImage:
        passes = run_passes(self.engine, image.pixels, self.recipe.cam)
        probabilities = compute_logits(self.classifier, passes).softmax(0).cpu()
        top1 = int(probabilities.argmax())
        indices = (top1,) if labels is None else labels
        cams = compute_cams(self.classifier, passes, indices)
        return LabeledImage(
            size_wh=image.size_wh,
            exif_orientation=image.exif_orientation,
            labels=indices,
            label_scores=tuple(float(probabilities[index]) for index in indices),
            top1=top1,
            top1_score=float(probabilities[top1]),
            mined=mine_boxes(cams, image.size_wh, self.recipe.mining),
            cams=cams,
        )


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ImageError("unreadable-file", f"{str(path)!r} cannot be read: {error}") from error
