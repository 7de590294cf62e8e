"""Image files put together by hand: chunks, segments and blocks that no encoder would write."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image

from dap_core.errors import ImageError
from dap_core.images import ImageLimits, decode_image
from tests.builders import encode_image, make_pixels

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def error_of(data: bytes, limits: ImageLimits | None = None) -> ImageError:
    """The ImageError that decoding raises."""
    with pytest.raises(ImageError) as caught:
        decode_image(data, limits)
    return caught.value


def make_chunk(name: bytes, content: bytes = b"") -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def make_png(
    width: int, height: int, bit_depth: int, colour_type: int, rows: list[bytes], *chunks: bytes, cut: int | None = None
) -> bytes:
    """A PNG of packed rows; `chunks` come before its pixels, `cut` is how much of the compressed data is kept."""
    header = make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0))
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))[:cut]
    return PNG_SIGNATURE + header + b"".join(chunks) + make_chunk(b"IDAT", pixels) + make_chunk(b"IEND")


def insert_chunks(png: bytes, *chunks: bytes, before: bytes = b"IDAT") -> bytes:
    """A PNG with more chunks before its first one of that name."""
    place = png.index(before) - 4
    return png[:place] + b"".join(chunks) + png[place:]


def make_segment(marker: int, content: bytes = b"") -> bytes:
    """A segment of a JPEG with its length."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def insert_segments(jpeg: bytes, segments: bytes) -> bytes:
    """A JPEG with these bytes after its first marker."""
    return jpeg[:2] + segments + jpeg[2:]


def make_jpeg_of_scans(num_scans: int, size_wh: tuple[int, int] = (48, 32), *, between: bytes = b"") -> bytes:
    """A progressive JPEG whose last scan comes again and again, with `between` before each."""
    jpeg = encode_image(make_pixels(*size_wh), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    more = num_scans - jpeg.count(b"\xff\xda") + 1
    assert more >= 1
    return jpeg[:last] + (between + jpeg[last:-2]) * more + b"\xff\xd9"


def find_frame_header(jpeg: bytes) -> int:
    """Where the marker of a baseline JPEG's frame header is."""
    return jpeg.index(b"\xff\xc0")


def claim_jpeg_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A baseline JPEG that says it is that large."""
    place = find_frame_header(jpeg) + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def make_riff_chunk(name: bytes, content: bytes = b"") -> bytes:
    """A chunk of a WebP, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def make_webp(*chunks: bytes) -> bytes:
    """A WebP of these chunks."""
    return make_riff_chunk(b"RIFF", b"WEBP" + b"".join(chunks))


def make_webp_header(width: int, height: int, flags: int) -> bytes:
    """The chunk that says what an extended WebP holds."""
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in (width, height))
    return make_riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


def make_gif(
    frame: Image.Image, *, screen_wh: tuple[int, int], left_top: tuple[int, int], before: bytes = b""
) -> bytes:
    """A GIF of one frame that lies anywhere on, or beyond, its screen."""
    gif = encode_image(frame, "GIF")
    place = gif.index(b",", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    moved = struct.pack("<HH", *left_top) + gif[place + 5 :]
    return gif[:6] + struct.pack("<HH", *screen_wh) + gif[10:place] + before + b"," + moved
