"""Transfer of detectors to other classes, and to torchvision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn, retinanet_resnet50_fpn

from dap_core.classifiers import Classifier, load_classifier
from dap_core.detectors import DetectorConfig, export_state_dict, make_detector, transfer_weights
from dap_core.errors import CheckpointError
from tests.builders import make_classes
from tests.detector_builders import TINY_CONFIG, make_tiny_classifier, make_tiny_detector

pytestmark = pytest.mark.usefixtures("one_thread")

LAST = {
    "faster_rcnn": {
        f"roi_heads.box_predictor.{layer}.{kind}" for layer in ("cls_score", "bbox_pred") for kind in ("weight", "bias")
    },
    "retinanet": {f"head.classification_head.cls_logits.{kind}" for kind in ("weight", "bias")},
    "fcos": {f"head.classification_head.cls_logits.{kind}" for kind in ("weight", "bias")},
}


def copy_tensors(detector):
    return {name: value.clone() for name, value in detector.network.state_dict().items()}


@pytest.mark.parametrize("architecture", LAST)
@pytest.mark.parametrize("num_classes", [3, 5])
def test_all_but_the_last_layers_come_from_the_source_whatever_their_shape(architecture, num_classes):
    source = copy_tensors(make_tiny_detector(architecture, num_classes=3))
    detector = make_tiny_detector(architecture, num_classes=num_classes, seed=1)
    before = copy_tensors(detector)
    report = transfer_weights(source, detector)
    after = copy_tensors(detector)
    assert set(report.new) == set(report.skipped) == LAST[architecture]
    assert set(report.loaded) == before.keys() - LAST[architecture]
    assert all(torch.equal(after[name], source[name]) for name in report.loaded)
    assert all(torch.equal(after[name], before[name]) for name in report.new)
    fpn = "backbone.fpn.inner_blocks.0.0.weight"
    assert not torch.equal(after[fpn], before[fpn])


def test_a_class_agnostic_detector_passes_on_to_one_with_classes():
    source = copy_tensors(make_tiny_detector(config=replace(TINY_CONFIG, class_agnostic=True)))
    report = transfer_weights(source, make_tiny_detector(num_classes=4, seed=1))
    assert set(report.new) == LAST["faster_rcnn"]


@pytest.mark.parametrize(
    ("architecture", "begins_anew"),
    [
        ("faster_rcnn", "roi_heads."),
        ("retinanet", "head.classification_head."),
        ("fcos", "head.classification_head."),
    ],
)
def test_localisation_leaves_out_what_tells_classes_apart(architecture, begins_anew):
    source = copy_tensors(make_tiny_detector(architecture, num_classes=1))
    detector = make_tiny_detector(architecture, num_classes=4, seed=1)
    before = copy_tensors(detector)
    report = transfer_weights(source, detector, "localisation")
    after = copy_tensors(detector)
    assert set(report.new) == {name for name in before if name.startswith(begins_anew)}
    assert all(torch.equal(after[name], before[name]) for name in report.new)
    assert all(torch.equal(after[name], source[name]) for name in before.keys() - set(report.new))
    assert {name.partition(".")[0] for name in report.loaded} >= {"backbone"}


def test_a_source_without_last_layers_is_enough():
    source = copy_tensors(make_tiny_detector())
    for name in LAST["faster_rcnn"]:
        del source[name]
    report = transfer_weights(source, make_tiny_detector(seed=1))
    assert report.skipped == ()
    assert set(report.new) == LAST["faster_rcnn"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rpn.head.cls_logits.weight": None}, r"1 missing \(rpn\.head\.cls_logits\.weight\)"),
        ({"rpn.more": torch.ones(1)}, r"1 unknown \(rpn\.more\)"),
        ({"rpn.head.cls_logits.bias": torch.ones(9)}, r"1 misshapen \(rpn\.head\.cls_logits\.bias is \[9\], expected"),
    ],
)
def test_anything_else_that_does_not_fit_is_an_error_and_changes_nothing(changes, reason):
    source = {**copy_tensors(make_tiny_detector()), **changes}
    source = {name: value for name, value in source.items() if value is not None}
    detector = make_tiny_detector(seed=1)
    before = copy_tensors(detector)
    with pytest.raises(CheckpointError, match=reason):
        transfer_weights(source, detector)
    assert all(torch.equal(before[name], value) for name, value in copy_tensors(detector).items())


def test_a_detector_of_another_architecture_is_refused():
    with pytest.raises(CheckpointError, match=r"missing.*unknown"):
        transfer_weights(copy_tensors(make_tiny_detector("fcos")), make_tiny_detector("faster_rcnn"))


@pytest.fixture(scope="module")
def resnet50() -> Classifier:
    return load_classifier("resnet50", weights="random")


@pytest.mark.parametrize("architecture", ["faster_rcnn", "retinanet"])
def test_torchvision_loads_the_export_and_finds_the_same(resnet50, architecture):
    torch.manual_seed(0)
    config = DetectorConfig.full(architecture, score_threshold=0.0)
    detector = make_detector(architecture, resnet50, make_classes(3), config=config).eval()
    sizes = {"weights": None, "weights_backbone": None, "min_size": 128, "max_size": 192}
    if architecture == "faster_rcnn":
        network = fasterrcnn_resnet50_fpn(num_classes=4, box_score_thresh=0.0, **sizes).eval()
    else:
        network = retinanet_resnet50_fpn(num_classes=3, score_thresh=0.0, **sizes).eval()
    network.load_state_dict(export_state_dict(detector), strict=True)
    images = [torch.rand(3, 128, 128)]
    with torch.inference_mode():
        [expected], [found] = network(images), detector(images)
    first_label = 1 if architecture == "faster_rcnn" else 0
    assert len(found.boxes) == config.max_detections
    torch.testing.assert_close(found.boxes, expected["boxes"])
    torch.testing.assert_close(found.scores, expected["scores"])
    assert torch.equal(found.labels + first_label, expected["labels"])


def test_what_torchvision_has_no_function_for_is_refused():
    with pytest.raises(CheckpointError, match="this detector is faster_rcnn over timm/test_resnet"):
        export_state_dict(make_tiny_detector())
    classifier = replace(make_tiny_classifier(), name="resnet50")
    small = make_detector("faster_rcnn", classifier, make_classes(), config=TINY_CONFIG)
    with pytest.raises(
        CheckpointError, match=r"has strides \(4, 8, 16, 32, 64\), fpn_channels 256, box_head_size 1024"
    ):
        export_state_dict(small)
