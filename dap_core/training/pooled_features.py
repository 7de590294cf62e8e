"""Pooled features of images as the labeler sees them: what heads are fitted to and classifiers measured on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dap_core.cam import ResizedImage, resize_image, run_passes
from dap_core.engines import Engine
from dap_core.errors import ImageError
from dap_core.images import decode_image
from dap_core.passes import CamConfig
from dap_core.pipelines import run_lanes
from dap_core.threads import single_threaded_libraries, use_one_torch_thread
from dap_core.training.labelled_samples import LabelledImage, LabelledSamples, Targets
from dap_core.training.left_out import LeftOut, Problem
from dap_core.types import ClassList

_FETCH_THREADS = 16


@dataclass(frozen=True, eq=False)
class PooledImages:
    """Pooled features float32 [N, C] on the CPU, and the classes of each image."""

    features: Tensor
    targets: tuple[Targets, ...]


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """Of how many images of a class the classifier's first choice is right."""

    wnid: str
    name: str
    num_images: int
    num_right: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the first choice is a class of the image, of all images and by class; of several classes the first."""

    num_images: int
    num_right: int
    by_class: tuple[ClassAccuracy, ...]

    @property
    def top1(self) -> float | None:
        """Share in [0, 1], None without images."""
        return self.num_right / self.num_images if self.num_images else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, classes without images left out."""
        rows = [
            {"wnid": one.wnid, "name": one.name, "images": one.num_images, "right": one.num_right}
            for one in self.by_class
            if one.num_images
        ]
        return {"images": self.num_images, "right": self.num_right, "top1": self.top1, "by_class": rows}


def pool_features(
    engine: Engine,
    samples: LabelledSamples,
    short_side: int,
    left_out: LeftOut,
    on_done: Callable[[], None] = lambda: None,
) -> PooledImages:
    """One pass over the images: each at that short side (pixels) and mirrored, pooled over the cells inside it.

    The features of both are averaged, as those of the labeler's passes are, so that a linear layer on them gives the
    logits that it gives there. `on_done` is called after each image. Images that cannot be used are noted in
    `left_out`. Raises TooManyFailuresError, StoreError.
    """
    config = CamConfig(short_sides=(short_side,))

    def work(window: list[Future[LabelledImage]]) -> list[Tensor | Problem]:
        prepared = [_prepare(one.result(), config, engine.classifier.grid.stride) for one in window]
        good = [one for one in prepared if isinstance(one, ResizedImage)]
        pooled = iter([_pool(passes) for passes in run_passes(engine, good, config)])
        return [next(pooled) if isinstance(one, ResizedImage) else one for one in prepared]

    features, targets = [], []
    with single_threaded_libraries(), ThreadPoolExecutor(_FETCH_THREADS, "dap-fetch") as fetchers:
        stream = _fetch(samples, fetchers)
        lanes = run_lanes(stream, work, window=engine.window, num_lanes=engine.lanes, start_lane=use_one_torch_thread)
        for found, classes in zip(lanes, samples.targets, strict=True):
            if isinstance(found, Tensor):
                features.append(found)
                targets.append(classes)
            left_out.add([] if isinstance(found, Tensor) else [found], 1)
            on_done()
    empty = torch.empty(0, engine.classifier.weight.shape[1])
    return PooledImages(torch.stack(features) if features else empty, tuple(targets))


def measure_accuracy(weight: Tensor, bias: Tensor, images: PooledImages, classes: ClassList) -> Accuracy:
    """How often a linear layer, `weight` [K, C] and `bias` [K], puts a class of the image first."""
    choices = (images.features @ weight.T + bias).argmax(dim=1).tolist() if images.targets else []
    totals: dict[int, int] = defaultdict(int)
    rights: dict[int, int] = defaultdict(int)
    for choice, targets in zip(choices, images.targets, strict=True):
        totals[targets[0]] += 1
        rights[targets[0]] += choice in targets
    rows = tuple(
        ClassAccuracy(item.wnid, item.name, totals[index], rights[index]) for index, item in enumerate(classes.classes)
    )
    return Accuracy(len(choices), sum(rights.values()), rows)


def _fetch(samples: LabelledSamples, fetchers: ThreadPoolExecutor) -> Iterator[Future[LabelledImage]]:
    return (fetchers.submit(samples.read_one, position) for position in range(len(samples)))


def _prepare(image: LabelledImage, config: CamConfig, stride: int) -> ResizedImage | Problem:
    if image.data is None:
        return image.key, image.problem
    try:
        return resize_image(decode_image(image.data).pixels, config, stride)
    except ImageError as error:
        return image.key, str(error)


def _pool(passes: list[Any]) -> Tensor:
    pooled = [one.features[:, : one.cells.valid_hw[0], : one.cells.valid_hw[1]].mean((1, 2)) for one in passes]
    return torch.stack(pooled).mean(0).float().cpu()
