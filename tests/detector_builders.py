"""Small detectors and images to train them on."""

from __future__ import annotations

import torch
from torch import Tensor

from dap_core.classifiers import Classifier, load_classifier
from dap_core.detectors import Architecture, DetectionTarget, Detector, DetectorConfig, make_detector
from tests.builders import make_classes

TINY = "timm/test_resnet"  # a ResNet of 0.5 M parameters
TINY_CONFIG = DetectorConfig(fpn_channels=32, box_head_size=64, num_rois=32, num_proposals=100)


def make_tiny_classifier() -> Classifier:
    """A small residual network with random weights."""
    return load_classifier(TINY, weights="random")


def make_tiny_detector(
    architecture: Architecture = "faster_rcnn",
    num_classes: int = 3,
    config: DetectorConfig = TINY_CONFIG,
    seed: int = 0,
) -> Detector:
    """A small detector with random weights."""
    torch.manual_seed(seed)
    return make_detector(architecture, make_tiny_classifier(), make_classes(num_classes), config=config)


def make_training_images() -> tuple[list[Tensor], list[DetectionTarget]]:
    """Two images of different sizes: a red rectangle of class 2 and a green one of class 0."""
    red, green = torch.full((3, 96, 130), 0.4), torch.full((3, 110, 96), 0.4)
    red[:, 20:76, 30:100] = torch.tensor([1.0, 0, 0])[:, None, None]
    green[:, 30:100, 10:60] = torch.tensor([0, 1.0, 0])[:, None, None]
    targets = [
        DetectionTarget(torch.tensor([[30.0, 20, 100, 76]]), torch.tensor([2])),
        DetectionTarget(torch.tensor([[10.0, 30, 60, 100]]), torch.tensor([0])),
    ]
    return [red, green], targets
