"""Detectors: what they are made from, what is trained and what is not, where their cells lie, and that they learn."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign

from dap_core.checkpoints import hash_tensors
from dap_core.classifiers import load_classifier
from dap_core.detectors import ARCHITECTURES, DetectionTarget, DetectorConfig, make_detector
from dap_core.detectors.geometry import GridRoiAlign
from dap_core.detectors.stages import make_stages
from dap_core.errors import ClassifierError
from tests.builders import make_classes, make_toy_classifier
from tests.detector_builders import TINY_CONFIG, make_tiny_classifier, make_tiny_detector, make_training_images

pytestmark = pytest.mark.usefixtures("one_thread")


def train_once(detector):
    images, targets = make_training_images()
    losses = detector.train()(images, targets)
    torch.stack(list(losses.values())).sum().backward()
    return losses


def list_batch_norms(detector):
    return [module for module in detector.network.backbone.body.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", ["lite0", "timm/test_resnet", "resnet18", "mobilenet_v2"])
def test_the_last_stage_is_the_map_the_classifier_looks_at(name):
    classifier = load_classifier(name, weights=None if name == "lite0" else "random")
    images = torch.randn(2, 3, 96, 160)
    stages, places, _ = make_stages(classifier)
    with torch.inference_mode():
        maps = stages(images)
        expected = classifier.backbone(images)
    torch.testing.assert_close(maps[-1], expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert {stride: tuple(maps[place].shape[-2:]) for stride, place in places.items() if stride > 2} == {
        4: (24, 40),
        8: (12, 20),
        16: (6, 10),
        32: (3, 5),
    }


def test_the_stages_of_a_resnet_end_with_its_layers(tmp_path):
    torch.manual_seed(3)
    network = torchvision.models.resnet18().eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    stages, places, _ = make_stages(load_classifier("resnet18", weights=tmp_path / "weights.pth"))
    expected = {}
    for index in range(1, 5):
        layer = network.get_submodule(f"layer{index}")
        layer.register_forward_hook(lambda _m, _i, output, stride=2 ** (index + 1): expected.update({stride: output}))
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        network(images)
        maps = stages(images)
    for stride, value in expected.items():
        torch.testing.assert_close(maps[places[stride]], value)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_losses_are_finite_and_reach_what_is_trained_and_nothing_else(architecture):
    detector = make_tiny_detector(architecture)
    losses = train_once(detector)
    assert all(math.isfinite(value.item()) for value in losses.values())
    reached = {name for name, value in detector.named_parameters() if value.grad is not None}
    assert reached == {name for name, value in detector.named_parameters() if value.requires_grad}
    body = {name.partition("network.backbone.body.network.")[2] for name in reached}
    assert {"layer2.0.conv1.weight", "layer4.0.conv1.weight"} <= body
    assert not {name for name in body if name.startswith(("conv1", "layer1"))}
    assert not {name for name in body if ".bn" in name}


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({"freeze_backbone": True}, set()),
        ({"frozen_stages": 3}, {"layer4"}),
        ({"frozen_stages": 0}, {"conv1", "layer1", "layer2", "layer3", "layer4"}),
    ],
)
def test_the_frozen_part_of_the_backbone_is_an_option(options, trained):
    detector = make_tiny_detector(config=replace(TINY_CONFIG, **options))
    body = detector.network.backbone.body.network
    assert {name.partition(".")[0] for name, value in body.named_parameters() if value.requires_grad} == trained
    assert all(value.requires_grad for value in detector.network.backbone.fpn.parameters())


def test_statistics_of_frozen_batch_norm_do_not_move_in_training():
    detector = make_tiny_detector()
    before = [norm.running_mean.clone() for norm in list_batch_norms(detector)]
    train_once(detector)
    assert all(torch.equal(a, norm.running_mean) for a, norm in zip(before, list_batch_norms(detector), strict=True))


def test_statistics_of_trained_batch_norm_move_but_for_frozen_stages():
    detector = make_tiny_detector(config=replace(TINY_CONFIG, frozen_batch_norm=False))
    before = {norm: norm.running_mean.clone() for norm in list_batch_norms(detector)}
    train_once(detector)
    moved = {norm for norm, mean in before.items() if not torch.equal(mean, norm.running_mean)}
    assert moved == {norm for norm in before if norm.weight.requires_grad}
    assert 0 < len(moved) < len(before)


def test_training_a_detector_leaves_its_classifier_alone():
    classifier = make_tiny_classifier()
    before = hash_tensors(classifier.backbone.state_dict())
    detector = make_detector("fcos", classifier, make_classes(3), config=replace(TINY_CONFIG, frozen_stages=0))
    train_once(detector)
    torch.optim.SGD(detector.parameters(), lr=0.1).step()
    assert hash_tensors(classifier.backbone.state_dict()) == before
    assert all(value.requires_grad for value in classifier.backbone.parameters())


def fit(detector, num_steps):
    """The sum of the losses at each step on two images."""
    images, targets = make_training_images()
    optimizer = torch.optim.AdamW([value for value in detector.parameters() if value.requires_grad], lr=1e-3)
    totals = []
    for _ in range(num_steps):
        total = torch.stack(list(detector(images, targets).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


def test_two_images_are_learned_with_their_boxes_and_labels(lite0):
    torch.manual_seed(0)
    detector = make_detector("faster_rcnn", lite0, make_classes(3), config=replace(TINY_CONFIG, fpn_channels=64))
    totals = fit(detector, num_steps=20)
    assert totals[-1] < totals[0] / 2
    images, targets = make_training_images()
    with torch.inference_mode():
        found = detector.eval()(images)
    for detections, target in zip(found, targets, strict=True):
        best = detections.scores.argmax()
        assert detections.labels[best] == target.labels[0]
        assert torchvision.ops.box_iou(detections.boxes[best][None], target.boxes) > 0.5


@pytest.mark.parametrize("architecture", ["retinanet", "fcos"])
def test_the_losses_of_detectors_of_one_stage_fall(lite0, architecture):
    torch.manual_seed(0)
    detector = make_detector(architecture, lite0, make_classes(3), config=replace(TINY_CONFIG, fpn_channels=64))
    totals = fit(detector, num_steps=20)
    assert totals[-1] < 0.8 * totals[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_image_without_boxes_is_trained_on(architecture):
    images, _ = make_training_images()
    nothing = DetectionTarget(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    losses = make_tiny_detector(architecture)(images, [nothing, nothing])
    assert all(math.isfinite(value.item()) for value in losses.values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bfloat16_is_trained_in(architecture):
    detector = make_tiny_detector(architecture)
    images, targets = make_training_images()
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector(images, targets)
    torch.stack(list(losses.values())).sum().backward()
    assert all(math.isfinite(value.item()) for value in losses.values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_labels_of_detections_are_those_of_the_class_list(architecture):
    detector = make_tiny_detector(architecture, num_classes=2, config=replace(TINY_CONFIG, score_threshold=0.0)).eval()
    with torch.inference_mode():
        found = detector(make_training_images()[0])
    assert set(torch.cat([one.labels for one in found]).tolist()) == {0, 1}
    assert all(one.boxes.dtype == torch.float32 for one in found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_class_agnostic_detector_has_one_class_whatever_the_labels(architecture):
    config = replace(TINY_CONFIG, class_agnostic=True, score_threshold=0.0)
    detector = make_tiny_detector(architecture, num_classes=3, config=config)
    assert [item.name for item in detector.classes.classes] == ["object"]
    assert all(math.isfinite(value.item()) for value in train_once(detector).values())
    with torch.inference_mode():
        found = detector.eval()(make_training_images()[0])
    assert set(found[0].labels.tolist()) == {0}


@pytest.mark.parametrize(
    ("boxes", "labels", "reason"),
    [
        ([[0.0, 0, 9, 9]], [3], "labels are 0 to 2, got 3 to 3"),
        ([[0.0, 0, 9, 9]], [-1], "labels are 0 to 2, got -1"),
        ([[5.0, 0, 5, 9]], [0], "every box needs an area"),
        ([[0.0, 0, 9, 9]], [0, 1], r"boxes \[n, 4\] and labels \[n\] expected, got \[1, 4\] and \[2\]"),
    ],
)
def test_targets_that_are_none_are_refused(boxes, labels, reason):
    with pytest.raises(ValueError, match=reason):
        make_tiny_detector()([torch.rand(3, 64, 64)], [DetectionTarget(torch.tensor(boxes), torch.tensor(labels))])


def test_training_needs_targets():
    with pytest.raises(ValueError, match="one target for each of the 1 images"):
        make_tiny_detector()([torch.rand(3, 64, 64)])


def test_images_are_normalised_as_for_the_classifier_and_not_resized():
    classifier = replace(make_tiny_classifier(), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    detector = make_detector("retinanet", classifier, make_classes(), config=TINY_CONFIG)
    image = torch.rand(3, 50, 70)
    padded, _ = detector.network.transform([image])
    assert padded.tensors.shape == (1, 3, 64, 96)
    expected = (image - torch.tensor(classifier.mean)[:, None, None]) / torch.tensor(classifier.std)[:, None, None]
    torch.testing.assert_close(padded.tensors[0, :, :50, :70], expected)


@pytest.mark.parametrize(("asymmetric", "origins"), [(False, (0, 0, 0, 0)), (True, (7, 15, 31, 31))])
def test_anchors_lie_around_the_cells_of_the_network(asymmetric, origins):
    classifier = make_toy_classifier(asymmetric=asymmetric)
    detector = make_detector("fcos", classifier, make_classes(), config=replace(TINY_CONFIG, frozen_stages=0))
    images = ImageList(torch.zeros(1, 3, 96, 160), [(96, 160)])
    levels = list(detector.network.backbone(images.tensors).values())
    anchors = detector.network.anchor_generator(images, levels)[0]
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    sizes = [level.shape[2] * level.shape[3] for level in levels]
    assert sizes == [12 * 20, 6 * 10, 3 * 5, 2 * 3]  # the last level covers more than the canvas
    for found, stride, origin in zip(centres.split(sizes), (8, 16, 32, 64), origins, strict=True):
        assert found[0].tolist() == [origin, origin]
        assert found[1].tolist() == [origin + stride, origin]


def test_regions_are_pooled_as_in_torchvision_where_cells_lie_as_it_assumes():
    maps = {"0": torch.randn(2, 4, 32, 32), "1": torch.randn(2, 4, 16, 16)}
    boxes = [torch.tensor([[10.0, 20, 200, 190], [3, 4, 40, 50]]), torch.tensor([[0.0, 0, 250, 256]])]
    expected = MultiScaleRoIAlign(["0", "1"], 7, 2)(maps, boxes, [(256, 256)] * 2)
    torch.testing.assert_close(GridRoiAlign((8, 16), (0, 0))(maps, boxes, [(256, 256)] * 2), expected)
    moved = [box + torch.tensor([7.0, 7, 7, 7]) for box in boxes]
    torch.testing.assert_close(
        GridRoiAlign((8,), (7,))({"0": maps["0"]}, moved, []), GridRoiAlign((8,), (0,))({"0": maps["0"]}, boxes, [])
    )


def test_a_network_without_the_strides_of_the_pyramid_is_refused_with_those_it_has():
    backbone = nn.Sequential(nn.Conv2d(3, 2, 3, 32, 1)).eval()
    classifier = replace(make_toy_classifier(), backbone=backbone)
    with pytest.raises(ClassifierError, match=r"toy has feature maps of stride 32; the pyramid needs \[8, 16\]"):
        make_detector("fcos", classifier, make_classes(), config=TINY_CONFIG)


def test_an_unknown_architecture_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="one of faster_rcnn, retinanet, fcos, got 'ssd'"):
        make_detector("ssd", make_tiny_classifier(), make_classes())


@pytest.mark.parametrize("config", [DetectorConfig(), DetectorConfig.full("retinanet", class_agnostic=True)])
def test_options_are_the_same_after_json(config):
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"strides": (8, 32)}, "strides double"),
        ({"strides": ()}, "strides double"),
        ({"strides": (64, 128)}, "strides double"),
        ({"fpn_channels": 100}, "multiple of 32"),
        ({"frozen_stages": -1}, "0 or more"),
        ({"num_rois": 0}, "num_rois is at least 1"),
    ],
)
def test_options_that_make_no_detector_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        DetectorConfig(**options)


def test_unknown_options_are_named():
    with pytest.raises(ValueError, match="missing or unknown: colour"):
        DetectorConfig.from_dict({**DetectorConfig().to_dict(), "colour": 1})
