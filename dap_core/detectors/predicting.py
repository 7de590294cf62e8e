"""A detector over a stream of encoded images: decoded, resized, run in batches, boxes back in the image's pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from dap_core.boxes import clip_boxes
from dap_core.detectors.detector import Detections, Detector
from dap_core.engines.torch_engine import find_device
from dap_core.errors import ImageError, InputError, StoreError
from dap_core.images import ImageLimits, decode_image
from dap_core.images.resizing import resize_to_short_side
from dap_core.pipelines import run_lanes
from dap_core.threads import single_threaded_libraries, use_one_torch_thread
from dap_core.types import FailedImage, PredictedImage

PredictionPrecision = Literal["float32", "bfloat16", "float16"]
ImageSource = bytes | Callable[[], bytes]
_FETCH_THREADS, _GPU_LANES = 8, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionConfig:
    """How images are run through a detector. Raises ValueError for values that cannot be."""

    short_side: int = 160
    """Pixels; the long side is at most twice as long, as in training."""
    batch_size: int = 4
    """Images in one batch, padded to the largest of them."""
    mirror: bool = False
    """Whether each image is also run left-right mirrored, and the boxes of both are merged by NMS within a class."""
    precision: PredictionPrecision = "float32"
    """The format of autocast."""

    def __post_init__(self) -> None:
        if not 32 <= self.short_side <= 4096:
            raise ValueError(f"the short side of a detector's input is 32 to 4096 px, got {self.short_side}")
        if self.batch_size < 1:
            raise ValueError(f"the batch size is at least 1, got {self.batch_size}")


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """An image resized for the network, uint8 [3, H, W], and the size and orientation it had."""

    pixels: Tensor
    size_wh: tuple[int, int]
    exif_orientation: int


class Predictor:
    """Runs one detector over images. It may be used from several threads.

    On a CPU each core takes a batch from bytes to boxes; on a GPU batches are decoded beside the network.
    """

    def __init__(
        self,
        detector: Detector,
        config: PredictionConfig | None = None,
        *,
        device: str | torch.device | None = None,
        limits: ImageLimits | None = None,
    ) -> None:
        """Moves the detector to the device (left out: the first GPU if there is one) and sets evaluation mode.

        Raises InputError when there is no such device, or it cannot compute in that precision.
        """
        self.config = config or PredictionConfig()
        self.device = find_device(device)
        on_cpu = self.device.type == "cpu"
        if self.config.precision == "float16" and on_cpu:
            raise InputError("float16 is for GPUs; on the CPU take float32 or bfloat16")
        self.detector = detector.eval().to(self.device)
        self.limits = limits or ImageLimits()
        num_at_once = torch.get_num_threads() if on_cpu else 1
        self.num_lanes: int = num_at_once if on_cpu else _GPU_LANES
        self._network = BoundedSemaphore(num_at_once)

    def predict_stream(self, images: Iterable[ImageSource]) -> Iterator[PredictedImage | FailedImage]:
        """What is found in each image, in order, with bounded memory; a damaged one gives a `FailedImage`.

        An image is encoded bytes, or a function that fetches them, called in a thread ahead of time; a StoreError or
        ImageError of it makes a `FailedImage`. Batches begin with the stream: equal streams give equal results.
        """
        fetchers = ThreadPoolExecutor(_FETCH_THREADS, thread_name_prefix="dap-fetch")
        with single_threaded_libraries(), fetchers:
            yield from run_lanes(
                (fetchers.submit(image) if callable(image) else image for image in images),
                self._predict_batch,
                window=self.config.batch_size,
                num_lanes=self.num_lanes,
                start_lane=use_one_torch_thread if self.device.type == "cpu" else None,
            )

    def _predict_batch(self, images: Sequence[bytes | Future[bytes]]) -> list[PredictedImage | FailedImage]:
        prepared = [self._prepare(image) for image in images]
        good = [item for item in prepared if isinstance(item, _Prepared)]
        with self._network:
            found = iter(self._run([item.pixels for item in good]) if good else ())
        return [item if isinstance(item, FailedImage) else _place_boxes(next(found), item) for item in prepared]

    def _prepare(self, image: bytes | Future[bytes]) -> _Prepared | FailedImage:
        try:
            decoded = decode_image(image.result() if isinstance(image, Future) else image, self.limits)
        except (ImageError, StoreError) as error:
            return FailedImage(error)
        resized = resize_to_short_side(decoded.pixels, self.config.short_side)
        pixels = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))
        return _Prepared(pixels, decoded.size_wh, decoded.exif_orientation)

    @torch.inference_mode()
    def _run(self, images: Sequence[Tensor]) -> list[Detections]:
        dtype = getattr(torch, self.config.precision)
        inputs = [image.to(self.device, non_blocking=True).float() / 255 for image in images]
        with torch.autocast(self.device.type, dtype, enabled=dtype is not torch.float32):
            found: list[Detections] = self.detector(inputs)
            if self.config.mirror:
                mirrored: list[Detections] = self.detector([image.flip(-1) for image in inputs])
                options = self.detector.config
                found = [
                    _merge(one, _mirror_boxes(other, image.shape[-1]), options.nms_iou, options.max_detections)
                    for one, other, image in zip(found, mirrored, inputs, strict=True)
                ]
        return [Detections(one.boxes.cpu(), one.labels.cpu(), one.scores.cpu()) for one in found]


def _mirror_boxes(found: Detections, width: int) -> Detections:
    left, top, right, bottom = found.boxes.unbind(1)
    return Detections(torch.stack([width - right, top, width - left, bottom], 1), found.labels, found.scores)


def _merge(one: Detections, other: Detections, nms_iou: float, most: int) -> Detections:
    """The detections of two passes over one image, NMS within each class, best first."""
    boxes, labels = torch.cat([one.boxes, other.boxes]), torch.cat([one.labels, other.labels])
    scores = torch.cat([one.scores, other.scores])
    kept = batched_nms(boxes.float(), scores, labels, nms_iou)[:most]
    return Detections(boxes[kept], labels[kept], scores[kept])


def _place_boxes(found: Detections, image: _Prepared) -> PredictedImage:
    """Detections in pixels of the resized image as boxes of the upright one, clipped; none without an area."""
    height, width = image.pixels.shape[1:]
    zoom = np.array([image.size_wh[0] / width, image.size_wh[1] / height] * 2, np.float32)
    boxes = clip_boxes(found.boxes.numpy() * zoom, image.size_wh).astype(np.float32)
    scores = found.scores.numpy()
    order = np.argsort(-scores, kind="stable")
    order = order[(boxes[order, 2:] > boxes[order, :2]).all(axis=1)]
    labels = found.labels.numpy().astype(np.int64)
    return PredictedImage(image.size_wh, image.exif_orientation, boxes[order], labels[order], scores[order])
