"""Average precision: COCO's against pycocotools, VOC's against a plain evaluator and by hand."""

from __future__ import annotations

import math
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dap_core.errors import InputError
from dap_core.evaluation.coco_precision import (
    CocoPrecision,
    compute_coco_precision,
    list_categories,
    list_detections,
    list_images,
    list_truth,
)
from dap_core.evaluation.detection_failures import find_failures
from dap_core.evaluation.detection_report import evaluate_detections
from dap_core.evaluation.detection_truth import DetectionTruth, find_other_sizes, make_detection_truth
from dap_core.evaluation.recognition import measure_recognition
from dap_core.evaluation.voc_precision import compute_area, compute_eleven_points, compute_voc_precision
from dap_core.types import ClassList, PredictedImage
from tests.builders import make_classes
from tests.detection_builders import evaluate_voc_plainly, make_drawn, make_found, make_random_case, make_truth
from tests.truth_builders import make_annotations

UNIT = (0.0, 0.0, 100.0, 100.0)
SHIFTED = (0.0, 0.0, 100.0, 50.0)  # IoU 0.5 with UNIT, exactly
FAR = (120.0, 120.0, 180.0, 180.0)


def run_pycocotools(found: dict[str, PredictedImage], truth: DetectionTruth) -> COCOeval:
    """pycocotools on the same boxes."""
    drawn, detected = COCO(), COCO()
    with redirect_stdout(StringIO()):
        for coco, annotations in ((drawn, list_truth(truth)), (detected, list_detections(found, truth))):
            coco.dataset = {"images": list_images(truth), "categories": list_categories(truth)}
            coco.dataset["annotations"] = annotations
            coco.createIndex()
        evaluator = COCOeval(drawn, detected, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def list_figures(ours: CocoPrecision) -> list[float]:
    sizes = [ours.ap_small, ours.ap_medium, ours.ap_large]
    return [ours.ap, ours.ap50, ours.ap75, *sizes, ours.recall]


@pytest.mark.parametrize("seed", range(8))
def test_coco_figures_are_those_of_pycocotools(seed: int) -> None:
    found, truth = make_random_case(seed, most_found=40 if seed else 300)
    ours, theirs = compute_coco_precision(found, truth), run_pycocotools(found, truth)
    assert list_figures(ours) == pytest.approx([*theirs.stats[:6], theirs.stats[8]], abs=1e-6)
    assert 0.05 < ours.ap < 0.95
    precision = theirs.eval["precision"][:, :, :, 0, 2]
    for index, one in enumerate(ours.by_class):
        if one.num_truth:
            assert one.ap == pytest.approx(precision[:, :, index].mean(), abs=1e-6)
            assert one.ap50 == pytest.approx(precision[0, :, index].mean(), abs=1e-6)
        else:
            assert math.isnan(one.ap)


def test_the_comparison_with_pycocotools_can_fail() -> None:
    found, truth = make_random_case(0)
    key = next(iter(found))
    moved = found | {key: replace(found[key], boxes=found[key].boxes + 9)}
    theirs = run_pycocotools(found, truth)
    assert list_figures(compute_coco_precision(moved, truth)) != pytest.approx(
        [*theirs.stats[:6], theirs.stats[8]], abs=1e-6
    )


@pytest.mark.parametrize("seed", range(12))
def test_voc_figures_are_those_of_a_plain_evaluator(seed: int) -> None:
    found, truth = make_random_case(seed)
    measured = compute_voc_precision(found, truth)
    for label, one in enumerate(measured.by_class):
        if not one.num_truth:
            assert math.isnan(one.area)
            continue
        assert one.area == pytest.approx(evaluate_voc_plainly(found, truth, label, eleven_points=False), abs=1e-12)
        assert one.eleven_points == pytest.approx(
            evaluate_voc_plainly(found, truth, label, eleven_points=True), abs=1e-12
        )
    known = [one.area for one in measured.by_class if one.num_truth]
    assert measured.area == pytest.approx(np.mean(known))
    assert 0.05 < measured.area < 0.95


def test_one_right_one_wrong_one_missed_by_hand() -> None:
    truth = make_truth({"a": make_drawn((0, UNIT)), "b": make_drawn((0, UNIT))})
    found = {"a": make_found((0, 0.9, FAR), (0, 0.8, UNIT))}
    one = compute_voc_precision(found, truth).by_class[0]
    assert one.curve.precision.tolist() == [0, 0.5]
    assert one.curve.recall.tolist() == [0, 0.5]
    assert one.area == pytest.approx(0.5 * 0.5)
    assert one.eleven_points == pytest.approx(6 * 0.5 / 11)  # recall 0, 0.1, ... 0.5


def test_an_overlap_of_just_half_is_right() -> None:
    truth = make_truth({"a": make_drawn((0, UNIT))})
    assert compute_voc_precision({"a": make_found((0, 0.9, SHIFTED))}, truth).by_class[0].area == 1
    less = make_found((0, 0.9, (0, 0, 100, 49.9)))
    assert compute_voc_precision({"a": less}, truth).by_class[0].area == 0


def test_a_second_detection_of_a_box_is_wrong() -> None:
    truth = make_truth({"a": make_drawn((0, UNIT), (0, FAR))})
    found = {"a": make_found((0, 0.9, UNIT), (0, 0.8, UNIT), (0, 0.7, FAR))}
    one = compute_voc_precision(found, truth).by_class[0]
    assert one.curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert one.area == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_difficult_boxes_count_neither_way() -> None:
    truth = make_truth({"a": make_drawn((0, UNIT), (0, FAR), ignored=[1])})
    found = {"a": make_found((0, 0.9, FAR), (0, 0.85, FAR), (0, 0.8, UNIT))}
    one = compute_voc_precision(found, truth).by_class[0]
    assert (one.num_truth, one.num_ignored, one.area, len(one.curve.scores)) == (1, 1, 1.0, 1)
    assert compute_coco_precision(found, truth).ap == pytest.approx(1)


def test_a_class_is_found_only_under_its_name() -> None:
    truth = make_truth({"a": make_drawn((0, UNIT))})
    assert compute_voc_precision({"a": make_found((1, 0.9, UNIT))}, truth).area == 0
    assert compute_coco_precision({"a": make_found((1, 0.9, UNIT))}, truth).ap == 0


def test_nothing_drawn_and_nothing_found() -> None:
    empty = evaluate_detections({"a": make_found((0, 0.9, UNIT))}, make_truth({"a": make_drawn()}))
    assert math.isnan(empty.coco.ap)
    assert math.isnan(empty.voc.area)
    assert empty.to_dict()["coco"]["ap"] is None
    unfound = evaluate_detections({}, make_truth({"a": make_drawn((0, UNIT))}))
    assert (unfound.coco.ap, unfound.voc.area, unfound.voc.eleven_points) == (0, 0, 0)


def test_areas_of_curves_by_hand() -> None:
    precision, recall = np.array([1, 0.5, 2 / 3, 0.5]), np.array([0.25, 0.25, 0.5, 0.5])
    assert compute_area(precision, recall) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert compute_eleven_points(precision, recall) == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)


def test_only_drawn_classes_count_in_the_mean() -> None:
    found = {"a": make_found((0, 0.9, UNIT), (2, 0.99, FAR))}
    measured = evaluate_detections(found, make_truth({"a": make_drawn((0, UNIT))}, 3))
    assert (measured.coco.ap, measured.voc.area) == (pytest.approx(1), 1)
    assert [one["ap"] for one in measured.to_dict()["classes"]] == [pytest.approx(1), None, None]


def test_the_detector_as_a_classifier_sums_scores() -> None:
    found = {
        "a": make_found((0, 0.5, UNIT), (0, 0.4, FAR), (1, 0.8, UNIT)),
        "b": make_found((2, 0.9, UNIT), (1, 0.2, UNIT)),
        "c": make_found(),
    }
    measured = measure_recognition(found, {"a": 0, "b": 1, "c": 0, "gone": 2}, 3)
    assert (measured.top1, measured.top5, measured.num_images) == (0.25, 0.5, 4)


def test_six_classes_have_a_fifth_and_a_sixth_place() -> None:
    found = {"a": make_found(*((label, 0.9 - label / 10, UNIT) for label in range(6)))}
    assert [measure_recognition(found, {"a": label}, 6).top5 for label in (4, 5)] == [1, 0]
    assert measure_recognition({"a": make_found()}, {"a": 0}, 2).top5 == 0  # also where there are fewer than five


def test_recognition_needs_one_class_in_each_image() -> None:
    one = make_truth({"a": make_drawn((0, UNIT), (0, FAR)), "b": make_drawn((1, UNIT))})
    two = make_truth({"a": make_drawn((0, UNIT), (1, FAR)), "b": make_drawn((1, UNIT))})
    found = {"a": make_found((0, 0.9, UNIT)), "b": make_found((0, 0.9, UNIT))}
    measured = evaluate_detections(found, one).recognition
    assert measured is not None
    assert (measured.top1, measured.top5) == (0.5, 0.5)
    assert evaluate_detections(found, two).recognition is None


def test_classes_are_found_by_name_and_wnid() -> None:
    annotations = make_annotations({"a": [("Class 1", UNIT), ("x0", FAR)]})
    truth = make_detection_truth(annotations, make_classes(2))
    assert truth.images["a"].labels.tolist() == [1, 0]


@pytest.mark.parametrize("name", ["zebra", "1"])
def test_a_class_that_the_detector_does_not_know_is_refused(name: str) -> None:
    annotations = make_annotations({"a": [("class 0", UNIT), (name, FAR)]})
    with pytest.raises(InputError, match=rf"does not know 1 classes .*: {name} \(1 boxes\); it knows class 0, class 1"):
        make_detection_truth(annotations, make_classes(2))
    assert make_detection_truth(annotations, ClassList.from_pairs([("x", "class 0"), ("y", name)]))


def test_a_detector_of_any_object_finds_all_classes() -> None:
    annotations = make_annotations({"a": [("zebra", UNIT), ("cat", FAR)]})
    truth = make_detection_truth(annotations, ClassList.from_pairs([("object", "object")]), class_agnostic=True)
    assert truth.images["a"].labels.tolist() == [0, 0]
    measured = evaluate_detections({"a": make_found((0, 0.9, UNIT), (0, 0.8, FAR))}, truth)
    assert (measured.voc.area, measured.recognition) == (1, None)


def test_images_drawn_at_another_size_are_named() -> None:
    annotations = make_annotations({"a": [("x0", UNIT)], "b": [("x0", UNIT)]}, size_wh=(200, 200))
    found = {"a": make_found(), "b": make_found(size_wh=(200, 100))}
    assert find_other_sizes(found, annotations) == {"b": "200 x 200 px in the annotations, 200 x 100 px as decoded"}


def describe(found: PredictedImage, truth: DetectionTruth) -> list[tuple[Any, ...]]:
    return [(one.kind, one.label, round(one.score, 2), one.nearest) for one in find_failures({"a": found}, truth)]


def test_failures_say_what_kind_they_are() -> None:
    truth = make_truth({"a": make_drawn((0, UNIT), (1, FAR), (0, (0, 150, 20, 170)), ignored=[])})
    found = make_found(
        (0, 0.95, UNIT),
        (0, 0.9, UNIT),
        (0, 0.8, (0, 0, 40, 100)),
        (0, 0.7, FAR),
        (1, 0.6, (0, 120, 10, 130)),
    )
    assert describe(found, truth) == [
        ("twice", 0, 0.9, 0),
        ("wrong-place", 0, 0.8, 0),
        ("wrong-class", 0, 0.7, 1),
        ("background", 1, 0.6, None),
        ("missed", 1, 0.0, 0),
        ("missed", 0, 0.0, None),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_failures_add_up_with_the_curves(seed: int) -> None:
    found, truth = make_random_case(seed)
    failures = find_failures(found, truth)
    classes = compute_voc_precision(found, truth).by_class
    num_wrong = sum(failure.kind != "missed" for failure in failures)
    num_right = sum(round(one.curve.recall[-1] * one.num_truth) for one in classes if len(one.curve.recall))
    assert num_right > 0
    assert num_wrong + num_right == sum(len(one.curve.scores) for one in classes)
    assert len(failures) - num_wrong + num_right == sum(one.num_truth for one in classes)
