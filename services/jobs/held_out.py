"""How well a trained classifier names the images that were held out; kept beside it, so it is measured once."""

from __future__ import annotations

import json
from typing import Any

from dap_core.classifier_checkpoints import read_classifier
from dap_core.engines import make_engine
from dap_core.errors import ObjectMissingError
from dap_core.stores import Store
from dap_core.training.labelled_samples import LabelledSamples
from dap_core.training.left_out import LeftOut
from dap_core.training.pooled_features import Accuracy, measure_accuracy, pool_features
from services.jobs.context import JobContext
from services.storage import open_store

DEFAULT_SHORT_SIDE = 288
"""The first scale that images are mined at."""
_NAME = "held-out.json"


def measure_held_out(
    place: str,
    samples: LabelledSamples,
    context: JobContext,
    left_out: LeftOut,
    *,
    short_side: int | None,
    device: str | None,
) -> dict[str, Any]:
    """The accuracy of the classifier in a place on images at that short side, as plain JSON values.

    Raises ClassifierError, TooManyFailuresError, JobStoppedError, StoreError.
    """
    store, pixels = open_store(place), short_side or DEFAULT_SHORT_SIDE
    settings = {"short_side": pixels, "data": samples.identity}
    if (known := _read(store)) and {name: known.get(name) for name in settings} == settings:
        return known
    if not len(samples):
        return {**settings, **Accuracy(0, 0, ()).to_dict()}
    with context.in_stage(f"measuring on {len(samples):,} images held out"):
        classifier = read_classifier(store).make_classifier()
        pooled = pool_features(make_engine(classifier, device=device), samples, pixels, left_out, context.check)
        accuracy = measure_accuracy(classifier.weight, classifier.bias, pooled, classifier.classes)
    found = {**settings, **accuracy.to_dict()}
    store.put(_NAME, json.dumps(found, indent=1).encode())
    return found


def _read(store: Store) -> dict[str, Any] | None:
    try:
        known: dict[str, Any] = json.loads(store.get(_NAME))
    except ObjectMissingError:
        return None
    return known
