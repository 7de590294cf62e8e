"""Kinds of images that cannot be labelled, each with the failure expected of it, and kinds that only look odd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tests.builders import encode_image, make_exif, make_pixels, make_png_claiming
from tests.image_builders import (
    claim_jpeg_size,
    find_frame_header,
    insert_segments,
    make_jpeg_of_scans,
    make_png,
)

SIZE = (64, 48)
Make = Callable[[int], bytes]
"""The bytes of an image by its number."""
Find = Callable[[bytes], int]
"""A place in a file."""


def _file(file_format: str, share: float = 1.0, *, mode: str = "RGB", **options: Any) -> Make:
    """A file of noise, or the first part of one."""

    def make(number: int) -> bytes:
        image = Image.fromarray(make_pixels(*SIZE, number)).convert(mode)
        data = encode_image(image, file_format, **options)
        return data[: int(len(data) * share)]

    return make


def _text(words: bytes) -> Make:
    return lambda number: words + b" %d" % number


def _animation(file_format: str) -> Make:
    """Two frames."""

    def make(number: int) -> bytes:
        first, second = (Image.fromarray(make_pixels(*SIZE, number + step)) for step in (0, 1))
        return encode_image(first, file_format, save_all=True, append_images=[second])

    return make


def _change(make: Make, find: Find, *values: int) -> Make:
    """A file with other bytes at one place."""

    def make_changed(number: int) -> bytes:
        data = make(number)
        place = find(data)
        return data[:place] + bytes(values) + data[place + len(values) :]

    return make_changed


def _without_segments(marker: int) -> Make:
    """A JPEG that lacks its segments of a kind."""

    def make(number: int) -> bytes:
        data = _JPEG(number)
        while (place := data.find(bytes([0xFF, marker]))) >= 0:
            data = data[:place] + data[place + 2 + int.from_bytes(data[place + 2 : place + 4], "big") :]
        return data

    return make


def _with_zeros(make: Make, share: float) -> Make:
    """A file of its full size of which only the first part was written."""

    def make_part(number: int) -> bytes:
        data = make(number)
        return data[: int(len(data) * share)].ljust(len(data), b"\0")

    return make_part


def _framed_twice(number: int) -> bytes:
    jpeg = _JPEG(number)
    place = find_frame_header(jpeg)
    return jpeg[:place] + jpeg[place : place + 19] + jpeg[place:]


def _cut_inside(number: int) -> bytes:
    """A PNG whose chunks are whole and whose compressed pixels are not."""
    rows = [row.tobytes() for row in make_pixels(*SIZE, number)]
    return make_png(*SIZE, 8, 2, rows, cut=-2000)


def _sixteen_bits(number: int) -> bytes:
    return encode_image(Image.fromarray(make_pixels(*SIZE, number)[..., 0].astype(np.uint16) * 257))


_JPEG, _PNG, _GIF, _WEBP = map(_file, ("JPEG", "PNG", "GIF", "WEBP"))

DAMAGED: dict[str, tuple[str, Make]] = {
    "empty": ("empty-image", lambda _number: b""),
    "text": ("not-an-image", _text(b"a file of words")),
    "error page": ("not-an-image", _text(b"<!DOCTYPE html><html><body>404 Not Found</body></html>")),
    "noise": ("not-an-image", lambda number: b"\1" + np.random.default_rng(number).bytes(500)),
    "BMP": ("unsupported-image-format", _file("BMP")),
    "TIFF": ("unsupported-image-format", _file("TIFF")),
    "HEIC": ("unsupported-image-format", _text(b"\0\0\0\x18ftypheic" + bytes(60))),
    "half a JPEG": ("truncated-image", _file("JPEG", 0.5)),
    "JPEG without its end": ("truncated-image", lambda number: _JPEG(number)[:-2]),
    "JPEG that ends in zeros": ("truncated-image", _with_zeros(_JPEG, 0.6)),
    "half a PNG": ("truncated-image", _file("PNG", 0.5)),
    "half a GIF": ("truncated-image", _file("GIF", 0.5)),
    "half a WebP": ("truncated-image", _file("WEBP", 0.5)),
    "JPEG with two frame headers": ("undecodable-image", _framed_twice),
    "JPEG without quantisation tables": ("undecodable-image", _without_segments(0xDB)),
    "JPEG with rubbish at its start": ("undecodable-image", lambda number: insert_segments(_JPEG(number), b"rubbish")),
    "PNG with a wrong checksum": ("undecodable-image", _change(_PNG, lambda png: png.index(b"IDAT") + 9, 1, 2, 3)),
    "PNG of no size": ("undecodable-image", lambda _number: make_png_claiming(0, 0)),
    "PNG cut inside": ("truncated-image", _cut_inside),
    "WebP with other pixels": ("undecodable-image", _change(_WEBP, lambda _webp: 26, *range(40))),
    "JPEG of 12 bits": ("unsupported-jpeg-feature", _change(_JPEG, lambda jpeg: find_frame_header(jpeg) + 4, 12)),
    "arithmetic JPEG": ("unsupported-jpeg-feature", _change(_JPEG, lambda jpeg: find_frame_header(jpeg) + 1, 0xC9)),
    "JPEG of 101 scans": ("too-many-scans", lambda _number: make_jpeg_of_scans(101)),
    "PNG bomb": ("image-too-many-pixels", lambda _number: make_png_claiming(65_535, 65_535)),
    "JPEG bomb": ("image-too-many-pixels", lambda number: claim_jpeg_size(_JPEG(number), 60_000, 60_000)),
    "tiny": ("image-too-small", lambda number: encode_image(make_pixels(8, 8, number))),
    "thin": ("aspect-ratio-too-large", lambda number: encode_image(make_pixels(420, 20, number))),
}
"""By name the error type and how to make one."""

ODD: dict[str, Make] = {
    "JPEG": _JPEG,
    "progressive JPEG": _file("JPEG", progressive=True),
    "grey JPEG": _file("JPEG", mode="L"),
    "CMYK JPEG": _file("JPEG", mode="CMYK"),
    "turned JPEG": _file("JPEG", exif=make_exif(6)),
    "JPEG without Huffman tables": _without_segments(0xC4),
    "JPEG with a tail": lambda number: _JPEG(number) + b"PK\3\4 and more",
    "PNG": _PNG,
    "PNG with transparency": _file("PNG", mode="RGBA"),
    "PNG of a palette": _file("PNG", mode="P"),
    "PNG of 1 bit": _file("PNG", mode="1"),
    "PNG of 16 bits": _sixteen_bits,
    "GIF": _GIF,
    "animated GIF": _animation("GIF"),
    "WebP": _WEBP,
    "lossless WebP": _file("WEBP", lossless=True),
    "animated WebP": _animation("WEBP"),
}
"""What has to be labelled, however odd it looks."""
