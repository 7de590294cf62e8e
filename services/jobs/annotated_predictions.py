"""What a detector finds in images with drawn boxes, ready to be held against these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from dap_core.detectors.predicting import Predictor
from dap_core.errors import ImageError, StoreRefusedError, StoreUnavailableError
from dap_core.evaluation.detection_truth import DetectionTruth, find_other_sizes
from dap_core.label_sets import Failure
from dap_core.stores import Store
from dap_core.types import FailedImage, PredictedImage
from services.annotated_data import AnnotatedData


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was found by key, and the images on which the detector could not be run."""

    found: dict[str, PredictedImage] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)


def predict_annotated(
    predictor: Predictor, data: AnnotatedData, on_image: Callable[[Failure | None], None] = lambda _failure: None
) -> Predictions:
    """Runs a detector over the images; `on_image` hears of each one in order, with its failure if there is one.

    Raises StoreRefusedError, StoreUnavailableError when the store fails, which says nothing of an image.
    """
    predictions = Predictions()
    keys = [image.key for image in data.annotations.images]
    results = predictor.predict_stream(partial(read_image, data.store, key) for key in keys)
    for key, result in zip(keys, results, strict=True):
        if isinstance(result, PredictedImage):
            predictions.found[key] = result
            on_image(None)
        else:
            failure = _make_failure(key, result)
            predictions.failed.append(failure)
            on_image(failure)
    return predictions


def read_image(store: Store, key: str) -> bytes:
    """The bytes of an image. Raises ImageError for a key that the store cannot have, StoreError."""
    try:
        return store.get(key)
    except ValueError as error:
        raise ImageError("unreadable-file", str(error)) from error


def leave_out_other_sizes(
    truth: DetectionTruth, predictions: Predictions, data: AnnotatedData
) -> tuple[DetectionTruth, dict[str, str]]:
    """The truth without the images whose boxes were drawn at another size, and those: by key, both sizes in words.

    They are taken out of what was found, too.
    """
    odd = find_other_sizes(predictions.found, data.annotations)
    for key in odd:
        del predictions.found[key]
    return DetectionTruth(truth.classes, {key: one for key, one in truth.images.items() if key not in odd}), odd


def _make_failure(key: str, failed: FailedImage) -> Failure:
    if isinstance(failed.error, StoreRefusedError | StoreUnavailableError):
        raise failed.error
    return Failure(key, failed.error.error_type, str(failed.error))
