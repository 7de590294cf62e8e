"""Files of mostly metadata, files with odd tails, frames and canvases: their pixels count, or they are refused."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from dap_core.images import decode_image
from tests.builders import encode_image, make_pixels, make_smooth_pixels
from tests.image_builders import (
    error_of,
    insert_chunks,
    insert_segments,
    make_chunk,
    make_gif,
    make_png,
    make_riff_chunk,
    make_segment,
    make_webp,
    make_webp_header,
)

SIZE = (48, 32)
MEGABYTES_60 = zlib.compress(b"\0" * 60_000_000)


def make_greedy_exif(num_entries: int = 4000) -> bytes:
    """EXIF data whose every entry claims the same long stretch of bytes."""
    entries = b"".join(struct.pack("<HHII", 0x1000 + number, 7, 60_000, 8) for number in range(num_entries))
    return (b"II*\0" + struct.pack("<IH", 8, num_entries) + entries).ljust(65_000, b"\0")


@pytest.mark.parametrize(
    "chunk",
    [
        make_chunk(b"zTXt", b"a\0\0" + MEGABYTES_60),
        make_chunk(b"iTXt", b"a\0\1\0\0\0" + MEGABYTES_60),
        make_chunk(b"iCCP", b"a\0\0" + MEGABYTES_60),
        make_chunk(b"zTXt", b"a\0\7no such compression"),
        b"".join(make_chunk(b"zTXt", b"%d\0\0" % number + zlib.compress(b"\0" * 10**6)) for number in range(99)),
        make_chunk(b"tEXt", b"a\0" + b"b" * 10**6),
        make_chunk(b"eXIf", b"c" * 10**6),
        make_chunk(b"eXIf", make_greedy_exif()),
        make_chunk(b"acTL", b"\0"),
        make_chunk(b"prVt") * 50_000,
        make_chunk(b"tEXt", b"a\0b")[:-1] + b"!",
    ],
    ids=["zTXt", "iTXt", "iCCP", "unknown", "many", "long", "EXIF", "greedy EXIF", "no animation", "private", "CRC"],
)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_metadata_of_a_png_is_ignored_whatever_it_is(chunk, before):
    png = encode_image(make_pixels())
    np.testing.assert_array_equal(decode_image(insert_chunks(png, chunk, before=before)).pixels, make_pixels())


@pytest.mark.parametrize(
    "metadata",
    [
        make_riff_chunk(b"EXIF", make_greedy_exif()),
        make_riff_chunk(b"XMP ", b"a" * 10**6),
        make_riff_chunk(b"ICCP", b"a" * 10**6),
        make_riff_chunk(b"abcd") * 50_000,
    ],
    ids=["greedy EXIF", "XMP", "ICC", "unknown"],
)
def test_metadata_of_a_webp_is_ignored_whatever_it_is(metadata):
    picture = encode_image(make_pixels(), "WEBP", lossless=True)[12:]
    for chunks in ((picture, metadata), (metadata, picture)):
        webp = make_webp(make_webp_header(*SIZE, flags=0x2C), *chunks)
        np.testing.assert_array_equal(decode_image(webp).pixels, make_pixels())


@pytest.mark.parametrize(
    "metadata",
    [
        make_segment(0xE1, b"Exif\0\0" + make_greedy_exif()),
        make_segment(0xE2, b"MPF\0" + make_greedy_exif()),
        make_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"a" * 60_000) * 300,
        make_segment(0xFE, b"<script>alert(1)</script>") * 50_000,
    ],
    ids=["greedy EXIF", "greedy MPF", "XMP", "comments"],
)
def test_metadata_of_a_jpeg_is_ignored_whatever_it_is(metadata):
    jpeg = encode_image(make_smooth_pixels(), "JPEG")
    found = decode_image(insert_segments(jpeg, metadata))
    np.testing.assert_array_equal(found.pixels, decode_image(jpeg).pixels)


def test_comments_of_a_gif_are_ignored_and_its_transparency_is_not():
    image = Image.new("P", SIZE)
    image.putpalette([10, 20, 30])
    comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 50_000 + b"\0"
    control = b"!\xf9\x04\x01\0\0\0\0"
    plain = make_gif(image, screen_wh=SIZE, left_top=(0, 0), before=comment)
    clear = make_gif(image, screen_wh=SIZE, left_top=(0, 0), before=comment + control + comment)
    assert [decode_image(data).pixels[5, 5].tolist() for data in (plain, clear)] == [[10, 20, 30], [255] * 3]


@pytest.mark.parametrize(
    "data",
    [
        insert_chunks(encode_image(make_pixels()), make_chunk(b"prVt") * 100_001),
        make_webp(make_webp_header(*SIZE, flags=0), make_riff_chunk(b"abcd") * 100_001),
        make_gif(Image.new("P", SIZE), screen_wh=SIZE, left_top=(0, 0), before=b"!\xfe" + b"\1a" * 100_001 + b"\0"),
        make_gif(Image.new("P", SIZE), screen_wh=SIZE, left_top=(0, 0), before=b"!\xfe\0" * 100_001),
    ],
    ids=["PNG chunks", "WebP chunks", "GIF blocks", "GIF extensions"],
)
def test_endless_metadata_is_refused(data):
    error = error_of(data)
    assert error.error_type == "undecodable-image"
    assert "more than 100,000" in str(error)


@pytest.mark.parametrize("tail", [b"PK\x03\x04 and more", b"\0" * 4, b"<?php"], ids=["zip", "zeros", "script"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_what_follows_an_image_is_ignored(file_format, tail):
    data = encode_image(make_smooth_pixels(), file_format)
    np.testing.assert_array_equal(decode_image(data + tail).pixels, decode_image(data).pixels)


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_a_chunk_that_matters_is_undecodable(name):
    png = bytearray(encode_image(Image.new("P", SIZE), transparency=0))
    png[png.index(name) - 4 + 8 + struct.unpack(">I", png[png.index(name) - 4 : png.index(name)])[0]] ^= 1
    error = error_of(bytes(png))
    assert (error.error_type, name.decode() in str(error)) == ("undecodable-image", True)


def test_broken_pngs_are_undecodable():
    png = encode_image(make_pixels())
    header, rest = png[8:33], png[33:]
    broken = {
        "no header": png[:8] + rest,
        "two headers": png[:33] + header + rest,
        "no pixels": png[:33] + make_chunk(b"IEND"),
        "odd chunk name": insert_chunks(png, make_chunk(b"\0\1\2\3")),
        "short header": png[:8] + make_chunk(b"IHDR", b"\0" * 4) + rest,
        "corrupt pixels": png[:33] + make_chunk(b"IDAT", b"not compressed") + make_chunk(b"IEND"),
        "no such depth": make_png(48, 32, 3, 0, [bytes(18)] * 32),
    }
    assert {name: error_of(data).error_type for name, data in broken.items()} == dict.fromkeys(
        broken, "undecodable-image"
    )


@pytest.mark.parametrize("cut", [4, 9, 15])
def test_a_png_that_lacks_compressed_pixels_is_truncated(cut):
    assert error_of(make_png(48, 32, 8, 0, [bytes(48)] * 32, cut=cut)).error_type == "truncated-image"


def test_only_decoders_of_supported_formats_are_ever_loaded():
    """Nor does a file of another format load the code that could read it."""
    code = """
import io, sys
import numpy as np
from dap_core.errors import ImageError
from dap_core.images import decode_image
for data in map(bytes.fromhex, sys.stdin.read().split()):
    try:
        decode_image(data)
    except ImageError as error:
        print(error.error_type, end=" ")
print(*sorted(name for name in sys.modules if name.endswith("ImagePlugin")))
"""
    files = [encode_image(make_pixels(), name) for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(data.hex() for data in files),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.split() == [
        *["unsupported-image-format"] * 2,
        "not-an-image",
        "PIL.GifImagePlugin",
        "PIL.PngImagePlugin",
    ]


@pytest.mark.parametrize("broken", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\xff\xff\xff\xff"])
def test_exif_that_points_nowhere_counts_as_none(broken):
    png = insert_chunks(encode_image(make_pixels()), make_chunk(b"eXIf", broken))
    assert decode_image(png).exif_orientation == 1


@pytest.mark.parametrize(
    ("kind", "count", "value", "expected"), [(3, 1, 6, 6), (4, 1, 6, 6), (3, 2, 6, 1), (2, 1, 6, 1), (3, 1, 9, 1)]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_one_number_from_1_to_8(order, kind, count, value, expected):
    stored = struct.pack(order + "H2x", value) if kind == 3 else struct.pack(order + "I", value)
    entry = struct.pack(order + "HHI", 0x0112, kind, count) + stored
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, 1)
    png = insert_chunks(encode_image(make_pixels()), make_chunk(b"eXIf", start + entry))
    assert decode_image(png).exif_orientation == expected


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_the_limits_of_pil_do_not_add_to_ours(file_format, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode_image(encode_image(make_pixels(), file_format)).size_wh == SIZE
