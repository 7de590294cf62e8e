"""Bytes to pixels: the only decoder of the project.

Takes encoded bytes, gives upright 8-bit RGB, checks every limit from the header before decoding, and
names what is wrong in a typed `ImageError`. Headers are read here and metadata never reaches a decoder, so a
file costs what its pixels cost: less than four times their size in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dap_core.images.decoders import RgbPixels, decode_with_pillow, flatten_to_rgb, turn_upright
from dap_core.images.gif import read_gif
from dap_core.images.jpeg import Jpeg, read_jpeg
from dap_core.images.limits import ImageLimits
from dap_core.images.png import SIGNATURE as PNG_SIGNATURE
from dap_core.images.png import read_png
from dap_core.images.refusals import SUPPORTED_FORMATS, damaged, unidentified
from dap_core.images.webp import read_webp

__all__ = [
    "SUPPORTED_FORMATS",
    "DecodedImage",
    "ImageLimits",
    "RgbPixels",
    "decode_image",
    "encode_jpeg",
    "find_media_type",
    "image_from_pillow",
    "image_from_pixels",
]

_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Upright RGB pixels uint8 [H, W, 3] and the EXIF orientation (1 to 8) that was applied."""

    pixels: RgbPixels
    exif_orientation: int = 1

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the upright image."""
        return self.pixels.shape[1], self.pixels.shape[0]


def decode_image(data: bytes, limits: ImageLimits | None = None) -> DecodedImage:
    """The upright RGB image that `data` encodes.

    JPEG, PNG, WebP and GIF are read, whatever the file is called. Of an animation the first frame counts; 16-bit
    samples keep their high byte; transparency is composited on white; CMYK is converted to RGB. The EXIF
    orientation is applied; a broken or unknown one counts as 1. Other metadata is ignored, whatever it is.

    Raises ImageError: `empty-image`, `not-an-image`, `unsupported-image-format`, `unsupported-jpeg-feature`,
    `truncated-image`, `undecodable-image`, or one of the limits.
    """
    limits = limits or ImageLimits()
    encoded = _read_header(data)
    limits.check(*encoded.size_wh)
    if isinstance(encoded, Jpeg):
        encoded.check_scans(limits.max_scans)
    pixels = encoded.decode()
    if pixels.shape[:2] != encoded.size_wh[::-1]:
        raise damaged("the image has another size than its header says")
    return DecodedImage(turn_upright(pixels, encoded.orientation), encoded.orientation)


def find_media_type(data: bytes) -> str | None:
    """The media type that the first bytes of a file say, None when it is of no format that is read."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(PNG_SIGNATURE):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def image_from_pixels(pixels: NDArray[np.generic], limits: ImageLimits | None = None) -> DecodedImage:
    """A decoded image of an RGB array uint8 [H, W, 3]; raises ValueError for any other array."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f"an image array must be uint8 [height, width, 3] in RGB, got {pixels.dtype} {list(pixels.shape)}"
        )
    (limits or ImageLimits()).check(pixels.shape[1], pixels.shape[0])
    return DecodedImage(np.ascontiguousarray(pixels, dtype=np.uint8))


def image_from_pillow(image: Image.Image, limits: ImageLimits | None = None) -> DecodedImage:
    """A decoded image of an open PIL image, its EXIF orientation applied."""
    (limits or ImageLimits()).check(*image.size)
    orientation = _read_pillow_orientation(image)
    pixels = decode_with_pillow(image.format or "image", lambda: flatten_to_rgb(image))
    return DecodedImage(turn_upright(pixels, orientation), orientation)


def encode_jpeg(pixels: RgbPixels, quality: int = 85) -> bytes:
    """RGB pixels [H, W, 3] as JPEG bytes without metadata."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return data.tobytes()


class _EncodedImage(Protocol):
    """A file whose header has been read: its stored size, how to turn it, and its pixels on demand."""

    @property
    def size_wh(self) -> tuple[int, int]: ...
    @property
    def orientation(self) -> int: ...
    def decode(self) -> RgbPixels: ...


def _read_header(data: bytes) -> _EncodedImage:
    match find_media_type(data):
        case "image/jpeg":
            return read_jpeg(data)
        case "image/png":
            return read_png(data)
        case "image/gif":
            return read_gif(data)
        case "image/webp":
            return read_webp(data)
    raise unidentified(data)


def _read_pillow_orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - PIL parses EXIF with code that can raise almost anything on broken tags
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
