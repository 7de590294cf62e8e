"""Calls of the two decoders, and what they give to 8-bit RGB; strip by strip, so that no second full copy is held."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dap_core.errors import ImageError

RgbPixels = NDArray[np.uint8]  # [H, W, 3]

_STRIP_PIXELS = 2**17
_WHITE = (255, 255, 255, 255)
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error)


def decode_with_opencv(data: bytes, flags: int, file_format: str) -> RgbPixels | None:
    """What OpenCV makes of a file, None when it fails; raises ImageError `undecodable-image` and MemoryError."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(error.err) from error
        raise ImageError("undecodable-image", f"the {file_format} decoder refused the file: {error.err}") from error
    return None if pixels is None else np.asarray(pixels, np.uint8)


def decode_with_pillow(file_format: str, decode: Callable[[], RgbPixels]) -> RgbPixels:
    """What `decode` returns; what PIL raises becomes an ImageError."""
    try:
        return decode()
    except Image.DecompressionBombError as error:
        raise ImageError("image-too-many-pixels", str(error)) from error
    except _PILLOW_ERRORS as error:
        ends_early = any(word in str(error).lower() for word in ("truncated", "eof"))
        kind = "truncated-image" if ends_early else "undecodable-image"
        raise ImageError(kind, f"the {file_format} data cannot be decoded: {error}") from error


def flatten_to_rgb(image: Image.Image) -> RgbPixels:
    """The pixels of a PIL image: high byte of 16-bit samples, transparency composited on white."""
    image.load()
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for strip in row_strips(*image.size):
        pixels[strip] = _flatten_strip(image.crop((0, strip.start, image.width, strip.stop)))
    return pixels


def composite_on_white(pixels_bgra: NDArray[np.uint8]) -> RgbPixels:
    """BGRA pixels [H, W, 4] on white."""
    height, width = pixels_bgra.shape[:2]
    pixels = np.empty((height, width, 3), np.uint8)
    for strip in row_strips(width, height):
        rgba = cv2.cvtColor(pixels_bgra[strip], cv2.COLOR_BGRA2RGBA)
        pixels[strip] = _flatten_strip(Image.fromarray(rgba))
    return pixels


def row_strips(width: int, height: int) -> Iterator[slice]:
    """Slices of rows that cover an image, none of many pixels."""
    rows = max(1, _STRIP_PIXELS // width)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def turn_upright(pixels: RgbPixels, orientation: int) -> RgbPixels:
    """Applies an EXIF orientation: bit pattern of transposition and two mirrors."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _flatten_strip(strip: Image.Image) -> NDArray[np.uint8]:
    """RGB [H, W, 3], or grey [H, W, 1] of 16-bit samples."""
    if strip.mode.startswith("I"):
        samples = np.asarray(strip)
        grey: NDArray[np.uint8] = np.clip(samples >> 8, 0, 255).astype(np.uint8)
        grey[samples == strip.info.get("transparency", -1)] = 255
        return grey[..., None]
    if strip.mode in ("RGBA", "LA", "PA") or "transparency" in strip.info:
        white = Image.new("RGBA", strip.size, _WHITE)
        strip = Image.alpha_composite(white, strip.convert("RGBA"))
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
