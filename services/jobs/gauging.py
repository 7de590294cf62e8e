"""How good a detector is while it trains: AP on images with drawn boxes that it is not trained on."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from dap_core.detectors import Detector
from dap_core.detectors.predicting import PredictionConfig, Predictor
from dap_core.evaluation.detection_report import evaluate_detections
from dap_core.evaluation.detection_truth import DetectionTruth, make_detection_truth
from dap_core.training.loop import StepReport
from dap_core.training.runs import TrainingRun
from dap_core.training.train_recipe import DetectorRecipe
from services.annotated_data import AnnotatedData, open_annotated
from services.jobs.annotated_predictions import leave_out_other_sizes, predict_annotated
from services.jobs.specs import DataFields, FieldGroup, check_values
from services.jobs.training_specs import MeasuringFields


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a detector was worth after so many steps: COCO's AP and AP50 in [0, 1], None where there is nothing to find.

    An image that cannot be read counts as one in which nothing was found, and as failed.
    """

    step: int
    ap: float | None
    ap50: float | None
    images: int
    failed: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Its values by name."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class DetectorGauge:
    """Measures a detector in training every so many steps, and at the end; the training is as without it.

    A twin with the same weights is measured, so mode, buffers and random numbers of the one in training stay as they
    are.
    """

    detector: Detector
    """The one in training."""
    recipe: DetectorRecipe
    data: AnnotatedData
    truth: DetectionTruth
    every: int
    twin: Detector

    def is_due(self, step: int) -> bool:
        """Whether it is to be measured after so many steps."""
        return step % self.every == 0 or step == self.recipe.num_steps

    def measure(self, step: int) -> Measurement:
        """Runs the detector as it is now over all images, at the largest size it is trained at. Raises StoreError."""
        began = time.monotonic()
        self.twin.load_state_dict(self.detector.state_dict())
        config = PredictionConfig(short_side=max(self.recipe.augment.short_sides))
        device = next(self.detector.parameters()).device
        predictions = predict_annotated(Predictor(self.twin, config, device=device), self.data)
        truth, _ = leave_out_other_sizes(self.truth, predictions, self.data)
        figures = evaluate_detections(predictions.found, truth).to_dict()["coco"]
        return Measurement(
            step=step,
            ap=figures["ap"],
            ap50=figures["ap50"],
            images=len(truth.images),
            failed=len(predictions.failed),
            seconds=round(time.monotonic() - began, 2),
        )


def make_gauge(spec: FieldGroup, run: TrainingRun[Any]) -> DetectorGauge | None:
    """The gauge that a spec asks for; None when it asks for none.

    Raises SourceError, StoreError, ValueError for what cannot be read, InputError for classes the detector lacks.
    """
    if not isinstance(spec, MeasuringFields) or spec.test_data is None:
        return None
    detector, recipe = run.model, run.recipe
    assert isinstance(detector, Detector)
    assert isinstance(recipe, DetectorRecipe)
    data = open_annotated(_name_test_data(spec))
    agnostic = detector.config.class_agnostic
    truth = make_detection_truth(data.annotations, detector.classes, class_agnostic=agnostic)
    return DetectorGauge(detector, recipe, data, truth, spec.measure_every, copy.deepcopy(detector))


class Listener(Protocol):
    """Hears of a training run."""

    def add(self, report: StepReport) -> None:
        """One step is done."""
        ...

    def measure(self, measured: Measurement) -> None:
        """The detector was measured."""
        ...


def make_step_hook(listener: Listener, gauge: DetectorGauge | None) -> Callable[[StepReport], None]:
    """What a run is to call after each step: it tells the step, and measures where that is due."""
    if gauge is None:
        return listener.add

    def hear(report: StepReport) -> None:
        listener.add(report)
        step = report.step + 1
        if gauge.is_due(step):
            listener.measure(gauge.measure(step))

    return hear


def _name_test_data(spec: MeasuringFields) -> DataFields:
    values: dict[str, Any] = {
        "data": spec.test_data,
        "data_format": spec.test_format,
        "split": spec.test_split,
        "years": spec.test_years,
        "image_root": spec.test_image_root,
        "inclusive": spec.inclusive,
        "class_map": spec.class_map,
    }
    return check_values(DataFields, values, "the test data")
