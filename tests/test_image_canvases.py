"""Canvases: GIF and WebP frames that do not fill theirs, and transparency, which is composited on white."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from dap_core.images import decode_image
from tests.builders import encode_image, make_exif, make_pixels, make_smooth_pixels
from tests.image_builders import (
    error_of,
    make_chunk,
    make_gif,
    make_png,
    make_riff_chunk,
    make_webp,
    make_webp_header,
)

SIZE = (48, 32)


@pytest.mark.parametrize(("screen_wh", "expected"), [((20, 20), (58, 39)), ((0, 0), (58, 39)), ((60, 50), (60, 50))])
def test_the_canvas_of_a_gif_grows_to_hold_its_first_frame(screen_wh, expected):
    assert decode_image(make_gif(Image.new("P", SIZE), screen_wh=screen_wh, left_top=(10, 7))).size_wh == expected


def test_a_gif_frame_larger_than_its_canvas_is_measured_against_the_limits():
    gif = make_gif(Image.new("P", SIZE), screen_wh=(64, 64), left_top=(60_000, 60_000))
    assert error_of(gif).error_type == "image-too-many-pixels"


@pytest.mark.parametrize(
    "blocks", [b";", b"!\xff\0;", b"\0\0\0;"], ids=["at once", "after an extension", "after zeros"]
)
def test_a_gif_without_a_frame_is_undecodable(blocks):
    error = error_of(b"GIF89a" + struct.pack("<HHBBB", *SIZE, 0, 0, 0) + blocks)
    assert (error.error_type, "no frame" in str(error)) == ("undecodable-image", True)


def make_animated_webp(frame: bytes, *, place: tuple[int, int] = (0, 0), size_wh: tuple[int, int] = SIZE) -> bytes:
    numbers = (place[0] // 2, place[1] // 2, size_wh[0] - 1, size_wh[1] - 1, 100)
    frame_header = b"".join(struct.pack("<I", number)[:3] for number in numbers) + b"\0"
    animation = make_riff_chunk(b"ANIM", b"\0\0\xff\xff\0\0"), make_riff_chunk(b"ANMF", frame_header + frame)
    return make_webp(make_webp_header(64, 64, flags=0x02), *animation)


def test_a_webp_frame_smaller_than_its_canvas_lies_on_white():
    frame = encode_image(make_pixels(), "WEBP", lossless=True)[12:]
    expected = np.full((64, 64, 3), 255, np.uint8)
    expected[20:52, 10:58] = make_pixels()
    np.testing.assert_array_equal(decode_image(make_animated_webp(frame, place=(10, 20))).pixels, expected)


def test_broken_webps_are_undecodable():
    picture = encode_image(make_pixels(), "WEBP", lossless=True)[12:]
    lossy = encode_image(make_pixels(), "WEBP")[12:]
    broken = {
        "no picture": make_webp(make_webp_header(*SIZE, flags=0)),
        "short header": make_webp(make_riff_chunk(b"VP8X", b"\0")),
        "two sizes": make_webp(make_webp_header(50, 32, flags=0), picture),
        "frame off the canvas": make_animated_webp(picture, place=(20, 20)),
        "frame of two sizes": make_animated_webp(picture, size_wh=(40, 32)),
        "no frame": make_webp(make_webp_header(*SIZE, flags=2)),
        "chunk too long": make_webp(picture[:4] + b"\xff\xff\xff\x7f" + picture[8:]),
        "lossless signature": make_webp(picture[:8] + b"\0" + picture[9:]),
        "lossy signature": make_webp(lossy[:11] + b"\0\0\0" + lossy[14:]),
        "corrupt": make_webp(make_riff_chunk(b"VP8L", picture[8:13] + b"\xff" * 40)),
    }
    assert {name: error_of(data).error_type for name, data in broken.items()} == dict.fromkeys(
        broken, "undecodable-image"
    )


@pytest.mark.parametrize("options", [{}, {"lossless": True}], ids=["lossy", "lossless"])
def test_a_transparent_webp_is_composited_on_white_as_pil_does(options):
    rgba = Image.fromarray(make_smooth_pixels())
    rgba.putalpha(Image.linear_gradient("L").resize(SIZE))
    data = encode_image(rgba, "WEBP", exif=make_exif(3), **options)
    with Image.open(io.BytesIO(data)) as stored:
        white = Image.new("RGBA", SIZE, (255, 255, 255, 255))
        expected = np.array(Image.alpha_composite(white, stored.convert("RGBA")).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data).pixels, expected[::-1, ::-1])


@pytest.mark.parametrize("bit_depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_is_white_at_every_depth(bit_depth):
    """The left half has the transparent sample, the right half the sample below it."""
    sample = {1: 1, 2: 1, 4: 5, 8: 200, 16: 0x1234}[bit_depth]
    row = "".join(format(value, f"0{bit_depth}b") for value in [sample] * 24 + [sample - 1] * 24)
    rows = [int(row, 2).to_bytes(len(row) // 8, "big")] * 32
    png = make_png(48, 32, bit_depth, 0, rows, make_chunk(b"tRNS", struct.pack(">H", sample)))
    below = (sample - 1) >> 8 if bit_depth == 16 else (sample - 1) * 255 // (2**bit_depth - 1)
    assert decode_image(png).pixels[3, 23:25].tolist() == [[255] * 3, [below] * 3]


def test_the_transparent_colour_of_a_16_bit_png_is_compared_in_full():
    colour, near = (0x1234, 0x5678, 0x9ABC), (0x1234, 0x5678, 0x9ABD)
    rows = [struct.pack(">3H", *colour) * 24 + struct.pack(">3H", *near) * 24] * 32
    png = make_png(48, 32, 16, 2, rows, make_chunk(b"tRNS", struct.pack(">3H", *colour)))
    assert decode_image(png).pixels[3, 23:25].tolist() == [[255] * 3, [0x12, 0x56, 0x9A]]
