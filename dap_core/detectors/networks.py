"""torchvision's Faster R-CNN, RetinaNet and FCOS over a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from dap_core.classifiers import Classifier
from dap_core.detectors.config import Architecture, DetectorConfig
from dap_core.detectors.freezing import freeze_parameters
from dap_core.detectors.geometry import GridAnchorGenerator, GridRoiAlign, NormalizeAndPad
from dap_core.detectors.pyramid import ConvolvedLevels, PyramidBackbone, SubsampledLevels
from dap_core.detectors.stages import make_stages, measure_origins
from dap_core.errors import ClassifierError

_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_SCALES_PER_OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))  # RetinaNet paper, section 4


@dataclass(frozen=True)
class _Pyramid:
    """A backbone with its levels: pixels between cells, pixel of cell 0, and how many the backbone itself has."""

    backbone: PyramidBackbone
    origins: tuple[float, ...]
    num_stages: int


def make_network(
    architecture: Architecture, classifier: Classifier, num_classes: int, config: DetectorConfig
) -> nn.Module:
    """The network of torchvision for `num_classes` classes, its backbone that of `classifier`.

    Raises ClassifierError when the network has no map of a stride the pyramid needs.
    """
    pyramid = _make_pyramid(architecture, classifier, config)
    make = {"faster_rcnn": _make_faster_rcnn, "retinanet": _make_retinanet, "fcos": _make_fcos}[architecture]
    network = make(pyramid, num_classes, config)
    network.transform = NormalizeAndPad(classifier.mean, classifier.std)
    for head in _list_heads(network, architecture):
        head.register_forward_hook(_give_float32)
    return network


def _list_heads(network: nn.Module, architecture: Architecture) -> list[nn.Module]:
    """The modules that give scores and box offsets."""
    if architecture == "faster_rcnn":
        return [network.rpn.head, network.roi_heads.box_predictor]  # type: ignore[union-attr, list-item]
    return [network.head]  # type: ignore[list-item]


def _give_float32(_module: nn.Module, _inputs: Any, output: Any) -> Any:
    """A hook: boxes in a shorter format would lie on a grid of several pixels, and scores be equal that are not."""
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, dict):
        return {name: _give_float32(_module, None, value) for name, value in output.items()}
    return type(output)(_give_float32(_module, None, value) for value in output)


def _make_pyramid(architecture: Architecture, classifier: Classifier, config: DetectorConfig) -> _Pyramid:
    body, places, maps = make_stages(classifier)
    strides = [stride for stride in config.strides if stride <= classifier.grid.stride]
    missing = [stride for stride in strides if stride not in places]
    if missing or not strides:
        known = ", ".join(map(str, sorted(places)))
        raise ClassifierError(
            f"{classifier.name} has feature maps of stride {known}; the pyramid needs {missing or list(config.strides)}"
        )
    origins = measure_origins(body, places, config.strides)
    freeze_parameters(body, places, config)
    channels, count = config.fpn_channels, len(config.strides) - len(strides)
    extra = SubsampledLevels(count) if architecture == "faster_rcnn" else ConvolvedLevels(count, channels)
    used = [places[stride] for stride in strides]
    in_channels = [maps[place].shape[1] for place in used]
    return _Pyramid(PyramidBackbone(body, used, in_channels, channels, extra), origins, len(strides))


def _make_faster_rcnn(pyramid: _Pyramid, num_classes: int, config: DetectorConfig) -> nn.Module:
    scale, pooled = config.get_anchor_scale("faster_rcnn"), pyramid.num_stages
    anchors = _make_anchors(pyramid, config, [(round(scale * stride),) for stride in config.strides])
    network: nn.Module = FasterRCNN(
        pyramid.backbone,
        rpn_anchor_generator=anchors,
        rpn_pre_nms_top_n_train=config.num_proposals,
        rpn_post_nms_top_n_train=config.num_proposals,
        rpn_pre_nms_top_n_test=min(config.num_proposals, 1000),
        rpn_post_nms_top_n_test=min(config.num_proposals, 1000),
        box_roi_pool=GridRoiAlign(config.strides[:pooled], pyramid.origins[:pooled]),
        box_head=TwoMLPHead(config.fpn_channels * 7**2, config.box_head_size),
        box_predictor=FastRCNNPredictor(config.box_head_size, num_classes + 1),
        box_batch_size_per_image=config.num_rois,
        box_score_thresh=config.score_threshold,
        box_nms_thresh=config.nms_iou,
        box_detections_per_img=config.max_detections,
    )
    return network


def _make_retinanet(pyramid: _Pyramid, num_classes: int, config: DetectorConfig) -> nn.Module:
    scale = config.get_anchor_scale("retinanet")
    sizes = [tuple(int(scale * stride * octave) for octave in _SCALES_PER_OCTAVE) for stride in config.strides]
    network: nn.Module = RetinaNet(
        pyramid.backbone, num_classes, anchor_generator=_make_anchors(pyramid, config, sizes), **_picking(config)
    )
    return network


def _make_fcos(pyramid: _Pyramid, num_classes: int, config: DetectorConfig) -> nn.Module:
    scale = config.get_anchor_scale("fcos")
    sizes = [(round(scale * stride),) for stride in config.strides]
    anchors = GridAnchorGenerator(config.strides, pyramid.origins, sizes, (1.0,))
    network: nn.Module = FCOS(pyramid.backbone, num_classes, anchor_generator=anchors, **_picking(config))
    return network


def _make_anchors(pyramid: _Pyramid, config: DetectorConfig, sizes: Sequence[tuple[int, ...]]) -> GridAnchorGenerator:
    return GridAnchorGenerator(config.strides, pyramid.origins, sizes, _ASPECT_RATIOS)


def _picking(config: DetectorConfig) -> dict[str, float]:
    return {
        "score_thresh": config.score_threshold,
        "nms_thresh": config.nms_iou,
        "detections_per_img": config.max_detections,
    }
