"""What can be sent as an image, and its bytes: files as they are, pixels as PNG."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]"
Images: TypeAlias = "ImageLike | Sequence[ImageLike]"

MAX_IMAGES = 32
"""Images of one request at most."""
MAX_BATCH_BYTES = 16 * 2**20
"""Bytes of the images of one request, but for an image that has more alone; half of what a service takes."""
_ORIENTATION = 0x0112  # the EXIF tag
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_FAST = 1  # zlib level: on the way to a service, time counts more than bytes


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """The bytes of an image file, and its name if it has one."""

    name: str | None
    data: bytes = field(repr=False)


def list_images(images: Images) -> list[ImageLike]:
    """The images as a list, one image as a list of one."""
    several = isinstance(images, Iterable) and not _is_image(images)
    return list(images) if several else [images]  # type: ignore[arg-type, list-item]


def encode_image(image: ImageLike) -> EncodedImage:
    """The bytes to send for an image: a path is read, a PIL image or an RGB array uint8 [H, W, 3] becomes a PNG.

    Raises OSError for a file that cannot be read, TypeError for what is no image, ValueError for another array.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return EncodedImage(None, bytes(image))
    if isinstance(image, str | os.PathLike):
        return EncodedImage(os.fspath(image), Path(image).read_bytes())
    if _is_array(image):
        return EncodedImage(None, _encode_array(image))
    if _is_pillow(image):
        return EncodedImage(None, _encode_pillow(image))
    raise TypeError(
        "an image must be a path, bytes, a PIL image or a numpy array uint8 [height, width, 3], "
        f"got {type(image).__name__}"
    )


def batch_images(images: Iterable[ImageLike]) -> Iterator[list[EncodedImage]]:
    """The images in order, as many at a time as one request holds; files are read when it is their turn."""
    batch: list[EncodedImage] = []
    num_bytes = 0
    for image in images:
        encoded = encode_image(image)
        if batch and (len(batch) == MAX_IMAGES or num_bytes + len(encoded.data) > MAX_BATCH_BYTES):
            yield batch
            batch, num_bytes = [], 0
        batch.append(encoded)
        num_bytes += len(encoded.data)
    if batch:
        yield batch


def _is_image(value: Any) -> bool:
    is_file = isinstance(value, str | os.PathLike | bytes | bytearray | memoryview)
    return is_file or _is_array(value) or _is_pillow(value)


def _is_array(value: Any) -> TypeGuard[NDArray[np.uint8]]:
    """Whether it is a numpy array, without importing numpy: who has an array has imported it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _is_pillow(value: Any) -> TypeGuard[Image.Image]:
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def _encode_array(pixels: NDArray[np.uint8]) -> bytes:
    """An RGB array as a PNG, each row as its difference from the one above, which compresses well."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != "uint8":
        shape = list(pixels.shape)
        raise ValueError(f"an image array must be uint8 [height, width, 3] in RGB, got {pixels.dtype} {shape}")
    height, width = pixels.shape[:2]
    if not height or not width:
        raise ValueError(f"an image array must have pixels, got {list(pixels.shape)}")
    rows = pixels.copy()
    rows[1:] -= pixels[:-1]
    filtered = b"".join(b"\x02" + row.tobytes() for row in rows)  # 2 is PNG's filter "up"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered, _FAST)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_make_chunk(kind, body) for kind, body in chunks)


def _make_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _encode_pillow(image: Image.Image) -> bytes:
    """A PIL image as a PNG with its EXIF orientation, which the service applies."""
    from PIL.Image import Exif

    orientation = image.getexif().get(_ORIENTATION)
    exif = Exif()
    exif[_ORIENTATION] = orientation if orientation in range(1, 9) else 1
    if image.mode == "I":
        image = image.convert("I;16")
    elif image.mode not in _PNG_MODES:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_FAST, exif=exif)
    return buffer.getvalue()
