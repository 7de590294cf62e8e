"""Step 2a: multi-scale, mirrored class activation maps (section 3.1, step 2; section 4.1).

Takes upright images and an engine; gives one `Cam` per forward pass and label, each with its own true
position in the image. The passes are neither averaged nor normalised here: that is the recipe's.
Images of one canvas size run together; what a batch holds never changes a map beyond rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dap_core.classifiers import Classifier
from dap_core.engines import Canvases, Engine
from dap_core.images import RgbPixels
from dap_core.passes import CANVAS_MULTIPLE, CamConfig, CellPlacement, compute_resized_size, place_cells
from dap_core.types import Cam, FloatArray


@dataclass(frozen=True, slots=True)
class ResizedImage:
    """One image ready for the network: a canvas uint8 [H, W, 3] for each short side, and the image's size on it."""

    size_wh: tuple[int, int]
    canvases: tuple[RgbPixels, ...] = field(repr=False)
    resized_whs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """The features float32 [C, h, w] of one image at one scale, mirrored back, and where its cells lie."""

    short_side: int
    mirrored: bool
    features: Tensor = field(repr=False)
    cells: CellPlacement


@dataclass(frozen=True, slots=True)
class ClassifiedMaps:
    """What leaves the device of one image: its labels, probabilities, and maps."""

    labels: tuple[int, ...]
    label_scores: tuple[float, ...]
    top1: int
    top1_score: float
    cams: tuple[Cam, ...] = field(repr=False)


def resize_image(pixels: RgbPixels, config: CamConfig, stride: int) -> ResizedImage:
    """The canvases of an upright RGB image uint8 [H, W, 3] for a network of that stride."""
    size_wh = (pixels.shape[1], pixels.shape[0])
    resized_whs = tuple(compute_resized_size(size_wh, short_side) for short_side in config.short_sides)
    multiple = int(np.lcm(CANVAS_MULTIPLE, stride))
    return ResizedImage(size_wh, tuple(_make_canvas(pixels, wh, multiple) for wh in resized_whs), resized_whs)


@torch.inference_mode()
def run_passes(engine: Engine, images: Sequence[ResizedImage], config: CamConfig) -> list[list[ForwardPass]]:
    """All forward passes of each image, in the order of scales, mirror last."""
    passes: list[list[ForwardPass]] = [[] for _ in images]
    for scale, short_side in enumerate(config.short_sides):
        for members in _group_by_canvas(images, scale, engine.batch_pixels):
            batch = [images[index] for index in members]
            features = engine.extract_features(_stack_canvases(batch, scale), mirror=config.mirror)
            for place, index in enumerate(members):
                passes[index] += _split_passes(engine, images[index], scale, short_side, features[place :: len(batch)])
    return passes


@torch.inference_mode()
def compute_logits(classifier: Classifier, passes: Sequence[ForwardPass]) -> Tensor:
    """The classifier's logits [K], each pass pooled over the cells inside the image, then averaged."""
    pooled = [one.features[:, : one.cells.valid_hw[0], : one.cells.valid_hw[1]].mean((1, 2)) for one in passes]
    mean = torch.stack(pooled).mean(0)
    return mean @ classifier.weight.to(mean.device).T + classifier.bias.to(mean.device)


@torch.inference_mode()
def compute_maps(
    classifier: Classifier, passes: Sequence[Sequence[ForwardPass]], labels: Sequence[tuple[int, ...] | None]
) -> list[ClassifiedMaps]:
    """Probabilities and maps of each image for its labels; None stands for the classifier's first choice.

    A map is the last linear layer as a 1x1 convolution, no activation (section 3.1); all labels of an image come from
    the same features. Class weights are applied on the device; probabilities and maps of all images leave it
    together, in one transfer.
    """
    packed = [_project(classifier, one, wanted) for one, wanted in zip(passes, labels, strict=True)]
    if not packed:
        return []
    values = torch.cat(packed).cpu().numpy()
    ends = np.cumsum([len(one) for one in packed])
    parts = np.split(values, ends[:-1])
    return [_unpack(*item) for item in zip(parts, passes, labels, strict=True)]


def _group_by_canvas(images: Sequence[ResizedImage], scale: int, batch_pixels: int) -> Iterator[list[int]]:
    """Indices of images that share a canvas size, as many as `batch_pixels` hold, in a fixed order."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        by_size[image.canvases[scale].shape[:2]].append(index)
    for (height, width), members in by_size.items():
        step = max(1, batch_pixels // (height * width))
        yield from (members[start : start + step] for start in range(0, len(members), step))


def _stack_canvases(images: Sequence[ResizedImage], scale: int) -> Canvases:
    sizes_hw = tuple((image.resized_whs[scale][1], image.resized_whs[scale][0]) for image in images)
    return Canvases(np.stack([image.canvases[scale] for image in images]), sizes_hw)


def _split_passes(
    engine: Engine, image: ResizedImage, scale: int, short_side: int, features: Tensor
) -> list[ForwardPass]:
    """The passes of one image from its features [1, C, h, w], or [2, C, h, w] with the mirrored one."""
    canvas_width = image.canvases[scale].shape[1]
    split = []
    for mirrored, one in zip((False, True), features, strict=False):
        cells = place_cells(
            engine.classifier.grid, image.size_wh, image.resized_whs[scale], canvas_width, one.shape[-2:], mirrored
        )
        split.append(ForwardPass(short_side, mirrored, one.flip(-1) if mirrored else one, cells))
    return split


def _project(classifier: Classifier, passes: Sequence[ForwardPass], labels: tuple[int, ...] | None) -> Tensor:
    """One vector on the device: first choice, its probability, those of the labels, then the maps pass by pass."""
    probabilities = compute_logits(classifier, passes).softmax(0)
    device = probabilities.device
    top1_score, top1 = probabilities.max(0, keepdim=True)
    indices = top1 if labels is None else torch.tensor(labels, device=device)
    weight, bias = classifier.weight.to(device)[indices], classifier.bias.to(device)[indices]  # [K, C], [K]
    maps = [(torch.einsum("kc,chw->khw", weight, one.features) + bias[:, None, None]).flatten() for one in passes]
    return torch.cat([top1.float(), top1_score, probabilities[indices], *maps])


def _unpack(vector: FloatArray, passes: Sequence[ForwardPass], labels: tuple[int, ...] | None) -> ClassifiedMaps:
    top1, top1_score = int(vector[0]), float(vector[1])
    known = (top1,) if labels is None else labels
    start = 2 + len(known)
    maps: list[NDArray[np.float32]] = []
    for one in passes:
        shape = (len(known), *one.features.shape[-2:])
        maps.append(vector[start : start + int(np.prod(shape))].reshape(shape))
        start += maps[-1].size
    cams = tuple(
        Cam.from_map(
            of_pass[row],
            label=label,
            short_side=one.short_side,
            mirrored=one.mirrored,
            origin_xy=one.cells.origin_xy,
            pitch_xy=one.cells.pitch_xy,
            valid_hw=one.cells.valid_hw,
        )
        for (row, label), (one, of_pass) in product(enumerate(known), zip(passes, maps, strict=True))
    )
    return ClassifiedMaps(known, tuple(vector[2 : 2 + len(known)].tolist()), top1, top1_score, cams)


def _make_canvas(pixels: RgbPixels, resized_wh: tuple[int, int], multiple: int) -> RgbPixels:
    """The resized image top left on a canvas whose sides are multiples of `multiple`."""
    shrinks = resized_wh[0] < pixels.shape[1]
    resized = cv2.resize(pixels, resized_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    width, height = (-(-side // multiple) * multiple for side in resized_wh)
    if (width, height) == resized_wh:
        return np.asarray(resized, np.uint8)
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: resized_wh[1], : resized_wh[0]] = resized
    return canvas
