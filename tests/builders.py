"""Builders of the values the tests need, each with defaults."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from dap_core.classifiers import Classifier
from dap_core.feature_grids import measure_feature_grid
from dap_core.merging import MergedMap
from dap_core.types import Cam, ClassList, FloatArray, PseudoBoxes

TOY_STRIDE = 32


def make_pixels(width: int = 48, height: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Random RGB pixels [height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_smooth_pixels(width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """RGB pixels whose four corners all differ and which JPEG hardly changes."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([across, down, 255 - (across + down) / 2], axis=-1).astype(np.uint8)


def make_scene(
    size_wh: tuple[int, int], rectangle: tuple[int, int, int, int], colour: tuple[int, int, int] = (255, 0, 0)
) -> NDArray[np.uint8]:
    """A black image with one filled rectangle (x1, y1, x2, y2)."""
    pixels = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    x1, y1, x2, y2 = rectangle
    pixels[y1:y2, x1:x2] = colour
    return pixels


def encode_image(image: Image.Image | NDArray[np.uint8], file_format: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, file_format, **options)
    return buffer.getvalue()


def make_exif(orientation: Any) -> Image.Exif:
    """EXIF data with nothing but an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def make_png_claiming(width: int, height: int) -> bytes:
    """A tiny but well-formed PNG whose header claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def make_classes(count: int = 2) -> ClassList:
    """Classes x0, x1, ... named class 0, class 1, ..."""
    return ClassList.from_pairs((f"x{index}", f"class {index}") for index in range(count))


def make_map(shape_hw: tuple[int, int], *blocks: tuple[int, int, int, int], value: float = 1.0) -> FloatArray:
    """A map of zeros with flat blocks (x1, y1, x2, y2), half-open."""
    values = np.zeros(shape_hw, np.float32)
    for x1, y1, x2, y2 in blocks:
        values[y1:y2, x1:x2] = value
    return values


def make_cam(
    map_hw: FloatArray,
    *,
    label: int = 0,
    size_wh: tuple[int, int] | None = None,
    short_side: int = 288,
    mirrored: bool = False,
    valid_hw: tuple[int, int] | None = None,
) -> Cam:
    """A Cam whose valid cells tile an image of `size_wh` evenly; left out, one cell is one pixel.

    With `size_wh` left out and `grid_short_side` set to the shorter side of the map, the samples of
    `merge_cams` fall on the centres of the cells.
    """
    rows, columns = valid_hw or map_hw.shape
    width, height = size_wh or (columns, rows)
    pitch_xy = (width / columns, height / rows)
    return Cam.from_map(
        np.asarray(map_hw, np.float32),
        label=label,
        short_side=short_side,
        mirrored=mirrored,
        origin_xy=(pitch_xy[0] / 2, pitch_xy[1] / 2),
        pitch_xy=pitch_xy,
        valid_hw=(rows, columns),
    )


def make_smooth_map(shape_hw: tuple[int, int] = (9, 12), seed: int = 0) -> FloatArray:
    """A random map with a few soft peaks, as a network draws them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    values = rng.normal(0, 0.05, shape_hw)
    for _ in range(int(rng.integers(1, 4))):
        y, x = rng.uniform(0, shape_hw[0]), rng.uniform(0, shape_hw[1])
        spread = rng.uniform(0.8, 2.5)
        values += rng.uniform(0.5, 1) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * spread**2))
    return values.astype(np.float32)


def make_boxes(
    boxes: list[tuple[float, float, float, float]], *, scores: list[float] | None = None, label: int = 0
) -> PseudoBoxes:
    """Pseudo boxes of one label."""
    count = len(boxes)
    return PseudoBoxes(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, label, np.int32),
        np.array(scores if scores is not None else [0.5] * count, np.float32),
        np.full(count, 0.2, np.float32),
    )


def make_random_boxes(count: int, seed: int = 0, extent: float = 100.0) -> FloatArray:
    """Random boxes [count, 4] within a square."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, extent, (count, 2, 2))
    return np.concatenate([corners.min(1), corners.max(1)], axis=1).astype(np.float32)


class PadRightBottom(nn.Module):
    """TensorFlow's "same" padding of a 3x3 convolution of stride 2 on an even input: none before, one after."""

    def forward(self, images: Tensor) -> Tensor:
        """The padded images."""
        return nn.functional.pad(images, (0, 1, 0, 1))


def make_toy_backbone(*, asymmetric: bool = False) -> nn.Sequential:
    """Five 3x3 convolutions of stride 2: channel 0 is the blurred red, channel 1 the blurred blue.

    Symmetric padding centres cell i on input pixel 32 i; padding only after the image on 32 i + 31.
    """
    layers: list[nn.Module] = []
    for index in range(5):
        conv = nn.Conv2d(3 if index == 0 else 2, 2, 3, 2, 0 if asymmetric else 1, bias=False)
        with torch.no_grad():
            conv.weight.zero_()
            conv.weight[0, 0] = 1 / 9
            conv.weight[1, 2 if index == 0 else 1] = 1 / 9
        layers += [PadRightBottom(), conv] if asymmetric else [conv]
    return nn.Sequential(*layers).eval()


def make_toy_classifier(*, asymmetric: bool = False) -> Classifier:
    """A classifier that finds class 0 (`red`) in red pixels and class 1 (`blue`) in blue ones."""
    backbone = make_toy_backbone(asymmetric=asymmetric)
    return Classifier(
        name="toy",
        backbone=backbone,
        weight=torch.eye(2),
        bias=torch.zeros(2),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        classes=ClassList.from_pairs([("x0", "red"), ("x1", "blue")]),
        weights_sha256="0" * 64,
        grid=measure_feature_grid(backbone),
    )


def cover_image(values: FloatArray, size_wh: tuple[int, int] | None = None) -> MergedMap:
    """A merged map that covers an image; left out, one of a pixel per cell."""
    height, width = values.shape
    wide, high = size_wh or (width, height)
    return MergedMap(values, (wide / width, high / height))
