"""Jobs of kind evaluate: a trained detector held against drawn boxes."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from dap_core.detectors import Checkpoint
from dap_core.detectors.predicting import Predictor
from dap_core.evaluation.detection_failures import find_failures
from dap_core.evaluation.detection_report import DetectionReport, evaluate_detections
from dap_core.evaluation.detection_truth import DetectionTruth, make_detection_truth
from dap_core.gallery.failure_pages import FailurePage
from dap_core.label_sets import Failure
from dap_core.plots import draw_precision
from dap_core.stores import Store
from services.annotated_data import AnnotatedData, open_annotated
from services.jobs.annotated_predictions import (
    Predictions,
    leave_out_other_sizes,
    predict_annotated,
    read_image,
)
from services.jobs.context import JobContext
from services.jobs.evaluation_files import write_evaluation
from services.jobs.evaluation_specs import EvaluateSpec
from services.jobs.outcomes import Outcome
from services.jobs.predictors import make_predictor
from services.jobs.records import JobState
from services.places import open_checkpoint_at
from services.storage import open_store

_NUM_NAMED = 3


def run_evaluate(spec: EvaluateSpec, context: JobContext) -> Outcome:
    """Runs a detector over images with drawn boxes and measures it.

    An image that cannot be read counts as one in which nothing was found; one whose boxes were drawn at another size
    is left out. Raises CheckpointError, SourceError, InputError for classes the detector does not know, StoreError.
    """
    began = time.time()
    with context.in_stage(f"loading {spec.detector}"):
        checkpoint = open_checkpoint_at(spec.detector)
    with context.in_stage(f"reading {spec.data}"):
        data = open_annotated(spec)
    for warning in data.warnings:
        context.warn(warning)
    agnostic = checkpoint.config.class_agnostic
    truth = make_detection_truth(data.annotations, checkpoint.classes, class_agnostic=agnostic)
    if agnostic:
        context.warn("the detector knows the one class object; all drawn boxes are taken as that")
    with context.in_stage("making the detector"):
        predictor = make_predictor(spec, checkpoint)
    started = time.time()
    predictions = _predict(predictor, data, context)
    rate = len(truth.images) / (time.time() - started)
    truth = _leave_out_other_sizes(truth, predictions, data, context)
    with context.in_stage("measuring"):
        report = evaluate_detections(predictions.found, truth)
        metrics = _describe(spec, predictor, checkpoint, data) | report.to_dict() | _describe_failed(predictions)
    if spec.out is not None:
        with context.in_stage(f"writing {spec.out}"):
            _write(spec, open_store(spec.out), metrics, report, predictions, truth, data.store)
    speed = {"images_per_s": round(rate, 2), "seconds": round(time.time() - began, 2), "out": spec.out}
    state = JobState.PARTIALLY_SUCCEEDED if predictions.failed else JobState.SUCCEEDED
    if not predictions.found:
        return Outcome(JobState.FAILED, metrics | speed, "the detector could be run on no image")
    return Outcome(state, metrics | speed)


def _predict(predictor: Predictor, data: AnnotatedData, context: JobContext) -> Predictions:
    def count(failure: Failure | None) -> None:
        context.progress.add(1, {failure.error_type: 1} if failure else {})
        context.report()

    context.progress.start(len(data.annotations.images), parts=1)
    return predict_annotated(predictor, data, count)


def _leave_out_other_sizes(
    truth: DetectionTruth, predictions: Predictions, data: AnnotatedData, context: JobContext
) -> DetectionTruth:
    kept, odd = leave_out_other_sizes(truth, predictions, data)
    if odd:
        examples = "; ".join(f"{key}: {sizes}" for key, sizes in list(odd.items())[:_NUM_NAMED])
        context.warn(f"{len(odd)} images have another size than their boxes were drawn at and are left out: {examples}")
    return kept


def _describe(spec: EvaluateSpec, predictor: Predictor, checkpoint: Checkpoint, data: AnnotatedData) -> dict[str, Any]:
    """What was measured, and on what."""
    config = predictor.config
    return {
        "detector": spec.detector,
        "architecture": f"{checkpoint.architecture} over {checkpoint.origin.name}",
        "checkpoint_sha256": checkpoint.tensors_sha256,
        "step": checkpoint.step,
        "data": spec.data,
        "data_sha256": data.identity,
        "class_agnostic": checkpoint.config.class_agnostic,
        "short_side": config.short_side,
        "batch_size": config.batch_size,
        "mirror": config.mirror,
        "precision": config.precision,
        "device": str(predictor.device),
    }


def _describe_failed(predictions: Predictions) -> dict[str, Any]:
    return {
        "failed": len(predictions.failed),
        "failures": [f"{one.key}: {one.error_type}: {one.message}" for one in predictions.failed],
    }


def _write(
    spec: EvaluateSpec,
    store: Store,
    metrics: dict[str, Any],
    report: DetectionReport,
    predictions: Predictions,
    truth: DetectionTruth,
    images: Store,
) -> None:
    write_evaluation(store, metrics, predictions.found, truth)
    curves = draw_precision(report.voc)
    page = FailurePage(
        name=spec.detector.rstrip("/").rpartition("/")[2] or spec.detector,
        facts=_list_facts(metrics),
        report=report,
        curves=curves,
        failures=find_failures(predictions.found, truth),
        found=predictions.found,
        truth=truth,
        failed_images=predictions.failed,
        read_image=partial(read_image, images),
        num_shown=spec.shown,
    )
    store.put("curves.png", curves)
    store.put("report.html", page.render().encode("utf-8", "xmlcharrefreplace"))


def _list_facts(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what the page says at its top."""
    coco, voc, classifier = metrics["coco"], metrics["voc"], metrics["classifier"]
    facts = [
        ("AP", _format(coco["ap"])),
        ("AP50", _format(coco["ap50"])),
        ("AP75", _format(coco["ap75"])),
        ("AP small, medium, large", ", ".join(_format(coco[f"ap_{size}"]) for size in ("small", "medium", "large"))),
        ("VOC AP50, area and 11 points", f"{_format(voc['ap50_area'])}, {_format(voc['ap50_11_points'])}"),
    ]
    if classifier:
        facts.append(("As a classifier, top-1 and top-5", f"{classifier['top1']:.1%}, {classifier['top5']:.1%}"))
    mirrored = ", mirrored too" if metrics["mirror"] else ""
    return [
        *facts,
        ("Images", f"{metrics['images']:,}"),
        ("Drawn boxes", f"{metrics['boxes']:,}"),
        ("Detector", metrics["architecture"]),
        ("Seen at", f"{metrics['short_side']} px{mirrored}, {metrics['precision']}"),
        ("Weights", metrics["checkpoint_sha256"][:12]),
    ]


def _format(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
