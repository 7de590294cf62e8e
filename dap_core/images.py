"""Bytes to pixels: the only decoder of the project.

Takes encoded bytes, gives upright 8-bit RGB, checks every limit from the header before decoding, and
names what is wrong in a typed `ImageError`.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dap_core.errors import ImageError

RgbPixels = NDArray[np.uint8]  # [H, W, 3]

SUPPORTED_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_EXIF_ORIENTATION = 0x0112
_FIRST_BYTES = (b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_LAST_BYTES = (b"\xff\xd9", b"IEND\xae\x42\x60\x82", b"\x00;")
_OTHER_FORMATS = (
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"%!PS", "EPS"),
    (b"SIMPLE  =", "FITS"),
    (b"\xff\x0a", "JPEG XL"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "SVG"),
)
_ISO_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"jxl ": "JPEG XL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What is still taken as an image; checked from the header, before any pixel is decoded."""

    max_pixels: int = 50_000_000
    """Width times height."""
    min_side: int = 16
    """Shorter side in pixels."""
    max_aspect_ratio: float = 20.0
    """Longer side over shorter side."""

    def check(self, width: int, height: int) -> None:
        """Raises ImageError when an image of this size is refused."""
        size = f"{width}x{height} pixels"
        if width < 1 or height < 1:
            raise ImageError("undecodable-image", f"the header says {size}")
        if width * height > self.max_pixels:
            raise ImageError("image-too-many-pixels", f"{size} are more than the limit of {self.max_pixels:,}")
        if min(width, height) < self.min_side:
            raise ImageError("image-too-small", f"{size}; the shorter side must have at least {self.min_side}")
        if max(width, height) > self.max_aspect_ratio * min(width, height):
            raise ImageError(
                "aspect-ratio-too-large", f"{size}; the longer side may be {self.max_aspect_ratio:g} times the shorter"
            )


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
    orientation is applied; a broken or unknown one counts as 1.

    Raises ImageError: `empty-image`, `not-an-image`, `unsupported-image-format`, `truncated-image`,
    `undecodable-image`, or one of the limits.
    """
    if not data:
        raise ImageError("empty-image", "the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning about metadata is no reason to lose an image
        header = _open_header(data)
        (limits or ImageLimits()).check(*header.size)
        orientation = _read_orientation(header)
        pixels = _decode_rgb8_jpeg(data) if _is_plain_jpeg(header) else _decode_with_pillow(header)
    return DecodedImage(_turn_upright(pixels, orientation), orientation)


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
    orientation = _read_orientation(image)
    return DecodedImage(_turn_upright(_decode_with_pillow(image), orientation), orientation)


def encode_jpeg(pixels: RgbPixels, quality: int = 85) -> bytes:
    """RGB pixels [H, W, 3] as JPEG bytes without metadata."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return data.tobytes()


def _open_header(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=SUPPORTED_FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError("image-too-many-pixels", str(error)) from error
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if data.startswith(b"RIFF") and len(data) < 8 + int.from_bytes(data[4:8], "little"):
            raise ImageError("truncated-image", f"the WebP ends early, after {len(data):,} bytes") from error
        raise _decoding_error("the image header is broken", error) from error


def _decoding_error(what: str, error: Exception) -> ImageError:
    ends_early = any(word in str(error).lower() for word in ("truncated", "eof"))
    return ImageError("truncated-image" if ends_early else "undecodable-image", f"{what}: {error}")


def _unidentified(data: bytes) -> ImageError:
    head = data[:64].lstrip()
    supported = ", ".join(SUPPORTED_FORMATS)
    known = next((name for magic, name in _OTHER_FORMATS if head.startswith(magic)), None)
    if data[4:8] == b"ftyp":
        known = _ISO_BRANDS.get(data[8:12], "an ISO media file")
    if known:
        return ImageError("unsupported-image-format", f"the file is {known}; supported are {supported}")
    is_webp = data.startswith(b"RIFF") and b"WEBP".startswith(data[8:12])
    if data.startswith(_FIRST_BYTES) or is_webp:
        if data.endswith(_LAST_BYTES):
            return ImageError("undecodable-image", "the image header is damaged")
        return ImageError("truncated-image", f"the file ends inside the image header, after {len(data)} bytes")
    return ImageError("not-an-image", f"the file starts with {head[:12]!r}; supported are {supported}")


def _read_orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - PIL parses EXIF with code that can raise almost anything on broken tags
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _is_plain_jpeg(header: Image.Image) -> bool:
    return header.format in ("JPEG", "MPO") and header.mode in ("RGB", "L")


def _decode_rgb8_jpeg(data: bytes) -> RgbPixels:
    """Decodes with OpenCV, the fastest way for the common case."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError("undecodable-image", f"the JPEG decoder refused the file: {error.err}") from error
    if pixels is not None:
        return np.asarray(pixels, np.uint8)
    if data.rstrip(b"\x00").endswith(b"\xff\xd9"):
        raise ImageError("undecodable-image", "the JPEG data is corrupt")
    raise ImageError("truncated-image", f"the JPEG ends early, after {len(data):,} bytes")


def _decode_with_pillow(image: Image.Image) -> RgbPixels:
    try:
        return _flatten_to_rgb(image)
    except Image.DecompressionBombError as error:
        raise ImageError("image-too-many-pixels", str(error)) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise _decoding_error(f"the {image.format or 'image'} data cannot be decoded", error) from error


def _flatten_to_rgb(image: Image.Image) -> RgbPixels:
    if image.mode.startswith("I"):  # 16-bit grey: keep the high byte
        samples = np.asarray(image).astype(np.int64)
        grey = np.clip(samples >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.array(Image.alpha_composite(white, rgba).convert("RGB"))
    return np.array(image.convert("RGB"))


def _turn_upright(pixels: RgbPixels, orientation: int) -> RgbPixels:
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
