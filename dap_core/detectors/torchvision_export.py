"""Detectors as a plain `state_dict` that torchvision itself loads."""

from __future__ import annotations

from torch import Tensor

from dap_core.detectors.config import DetectorConfig
from dap_core.detectors.detector import Detector
from dap_core.errors import CheckpointError

_SHARED_SIZES = ("strides", "fpn_channels", "box_head_size")


def export_state_dict(detector: Detector) -> dict[str, Tensor]:
    """The tensors under torchvision's names, on the CPU, for a Faster R-CNN or RetinaNet over a ResNet-50.

    `fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=K + 1)` loads them strictly and counts
    classes from 1; `retinanet_resnet50_fpn(..., num_classes=K)` counts them from 0. Raises CheckpointError for a
    detector that torchvision has no function for.
    """
    architecture, config = detector.architecture, detector.config
    if architecture == "fcos" or detector.origin.name not in ("resnet50", "torchvision/resnet50"):
        raise CheckpointError(
            "torchvision takes Faster R-CNN and RetinaNet over resnet50; "
            f"this detector is {architecture} over {detector.origin.name}"
        )
    full = DetectorConfig.full(architecture)
    other = [name for name in _SHARED_SIZES if getattr(config, name) != getattr(full, name)]
    if config.get_anchor_scale(architecture) != full.get_anchor_scale(architecture):
        other.append("anchor_scale")
    if other:
        expected = ", ".join(f"{name} {getattr(full, name)}" for name in other)
        raise CheckpointError(
            f"torchvision's {architecture} has {expected}; train with DetectorConfig.full({architecture!r})"
        )
    return {name: value.detach().cpu().clone() for name, value in detector.network.state_dict().items()}
