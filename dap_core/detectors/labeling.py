"""What a detector finds as a label set: the boxes of images that nobody has labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from dap_core.detectors.checkpoint import Checkpoint
from dap_core.detectors.predicting import PredictionConfig, Predictor
from dap_core.label_sets.settings import LabelingSettings
from dap_core.recipes import PredictionRecipe
from dap_core.stores import Store
from dap_core.types import FailedImage, LabeledImage, MinedBoxes, PredictedImage, PseudoBoxes


def choose_short_side(checkpoint: Checkpoint) -> int:
    """The short side in pixels to run a stored detector at: the largest that it was trained at, 160 if unknown."""
    trained = checkpoint.recipe.get("augment.short_sides")
    return max(map(int, trained)) if trained else PredictionConfig().short_side


def describe_predictions(
    checkpoint: Checkpoint,
    config: PredictionConfig,
    source: Store,
    *,
    keep_score: float | None = None,
    embed_images: bool = True,
) -> LabelingSettings:
    """The settings of a label set of what a stored detector finds in the images of `source`."""
    recipe = PredictionRecipe(
        short_side=config.short_side,
        mirror=config.mirror,
        batch_size=config.batch_size,
        score_threshold=checkpoint.config.score_threshold,
        keep_score=keep_score,
    )
    return LabelingSettings(
        recipe=recipe,
        classes=checkpoint.classes,
        classifier=f"{checkpoint.architecture} over {checkpoint.origin.name}",
        weights_sha256=checkpoint.tensors_sha256,
        engine="torch",
        precision=config.precision,
        source=source.uri,
        embed_images=embed_images,
        store_cams=False,
    )


class DetectingLabeler:
    """Labels images with what a detector finds, whatever labels they are given; a `LabelsStreams`.

    The labels of an image are the classes found in it, each with its best score; the first choice is the class whose
    scores sum highest. An image in which nothing is found has no label.
    """

    def __init__(self, predictor: Predictor, recipe: PredictionRecipe) -> None:
        self._predictor, self._recipe = predictor, recipe
        self._num_classes = len(predictor.detector.classes)

    def label_stream(
        self, items: Iterable[tuple[Callable[[], bytes], tuple[str, ...]]]
    ) -> Iterator[LabeledImage | FailedImage]:
        """Boxes for a stream of functions that read images, in order; the labels that come with them do not count."""
        for found in self._predictor.predict_stream(read for read, _ in items):
            yield found if isinstance(found, FailedImage) else self._label(found)

    def _label(self, found: PredictedImage) -> LabeledImage:
        if self._recipe.keep_score is not None:
            found = found.keep_confident(self._recipe.keep_score)
        best: dict[int, float] = {}
        for label, score in zip(found.labels.tolist(), found.scores.tolist(), strict=True):
            best.setdefault(label, score)
        top1 = int(found.sum_scores(self._num_classes).argmax())
        return LabeledImage(
            size_wh=found.size_wh,
            exif_orientation=found.exif_orientation,
            labels=tuple(best),
            label_scores=tuple(best.values()),
            top1=top1,
            top1_score=best.get(top1, 0.0),
            mined=MinedBoxes(self._make_boxes(found)),
            cams=(),
        )

    def _make_boxes(self, found: PredictedImage) -> PseudoBoxes:
        levels = np.array(self._recipe.thresholds, np.float32)
        reached = levels[np.searchsorted(levels, found.scores, side="right") - 1]
        return PseudoBoxes(found.boxes, found.labels.astype(np.int32), found.scores, reached)
