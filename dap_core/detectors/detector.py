"""Step 3: a detector over the backbone of the classifier that drew the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dap_core.classifiers import Classifier, Rgb
from dap_core.detectors.config import ARCHITECTURES, Architecture, DetectorConfig
from dap_core.detectors.freezing import fix_statistics
from dap_core.detectors.networks import make_network
from dap_core.types import ClassList

_ANY_OBJECT = ClassList.from_pairs([("object", "object")])


@dataclass(frozen=True, slots=True, eq=False)
class DetectionTarget:
    """The boxes of one training image: float32 [n, 4] xyxy in its pixels, and their class indices int64 [n]."""

    boxes: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What was found in one image: boxes float32 [n, 4] xyxy in its pixels, class indices int64 [n], scores [n]."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


@dataclass(frozen=True, slots=True)
class BackboneOrigin:
    """The classifier a backbone came from: name, sha256 of its weights, mean and std (RGB) of its normalisation."""

    name: str
    weights_sha256: str
    mean: Rgb
    std: Rgb


class Detector(nn.Module):
    """A detection network. Class indices are those of `classes`, from 0, whatever the network counts as background.

    Images are float tensors [3, H, W] in [0, 1], RGB, in the size they are to be seen at. In training, a call takes
    them with their targets and gives the losses; in evaluation it gives the `Detections` of each image.
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: Architecture,
        classes: ClassList,
        config: DetectorConfig,
        origin: BackboneOrigin,
    ) -> None:
        super().__init__()
        self.network = network
        self.architecture: Architecture = architecture
        self.classes, self.config, self.origin = classes, config, origin
        self._first_label = 1 if architecture == "faster_rcnn" else 0

    def train(self, mode: bool = True) -> Detector:
        """Sets training or evaluation mode; frozen BatchNorm stays in evaluation mode."""
        super().train(mode)
        fix_statistics(self.network.backbone.body)  # type: ignore[union-attr, arg-type]
        return self

    def forward(self, images: Sequence[Tensor], targets: Sequence[DetectionTarget] | None = None) -> Any:
        """Losses by name in training (scalars), a list of `Detections` in evaluation.

        Raises ValueError when targets are missing in training, have other shapes, boxes without area or labels that
        are no class.
        """
        if not self.training:
            return [self._to_detections(found) for found in self.network(list(images))]
        if targets is None or len(targets) != len(images):
            raise ValueError(f"training needs one target for each of the {len(images)} images")
        return self.network(list(images), [self._to_torchvision(target) for target in targets])

    def _to_torchvision(self, target: DetectionTarget) -> dict[str, Tensor]:
        boxes, labels = target.boxes, target.labels
        if boxes.ndim != 2 or boxes.shape[1] != 4 or labels.shape != boxes.shape[:1]:
            raise ValueError(f"boxes [n, 4] and labels [n] expected, got {list(boxes.shape)} and {list(labels.shape)}")
        if (boxes[:, 2:] <= boxes[:, :2]).any():
            raise ValueError("every box needs an area; drop those without one before training")
        if self.config.class_agnostic:
            labels = torch.zeros_like(labels)
        elif ((labels < 0) | (labels >= len(self.classes))).any():
            raise ValueError(f"labels are 0 to {len(self.classes) - 1}, got {labels.min()} to {labels.max()}")
        return {"boxes": boxes.float(), "labels": labels.long() + self._first_label}

    def _to_detections(self, found: dict[str, Tensor]) -> Detections:
        return Detections(found["boxes"].float(), found["labels"] - self._first_label, found["scores"].float())


def make_detector(
    architecture: Architecture, classifier: Classifier, classes: ClassList, *, config: DetectorConfig | None = None
) -> Detector:
    """A detector whose backbone has the weights of `classifier`, all other layers random (torch's generator).

    `config` left out is `DetectorConfig()`; `DetectorConfig.full(architecture)` has the sizes of the paper. The
    classifier is not changed. The detector is in training mode, on the CPU. A class-agnostic one has the one class
    `object`.

    Raises ValueError for an unknown architecture or no class, ClassifierError when the classifier's inner maps cannot
    be had at the strides of the pyramid.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
    config = config or DetectorConfig()
    classes = _ANY_OBJECT if config.class_agnostic else classes
    if not len(classes):
        raise ValueError("a detector needs at least one class")
    network = make_network(architecture, classifier, len(classes), config)
    origin = BackboneOrigin(classifier.name, classifier.weights_sha256, classifier.mean, classifier.std)
    return Detector(network, architecture, classes, config, origin).train()
