"""What decoding costs in memory, measured as the peak of a fresh process: bombs next to nothing, images < 4 times."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.builders import encode_image, make_exif, make_png_claiming, make_smooth_pixels
from tests.image_builders import (
    claim_jpeg_size,
    insert_chunks,
    insert_segments,
    make_chunk,
    make_gif,
    make_jpeg_of_scans,
    make_png,
    make_riff_chunk,
    make_segment,
    make_webp,
    make_webp_header,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")

SIZE = (2400, 1600)
MEGABYTE = 10**6

PROBE = """
import io, json, os, sys
from PIL import Image
from dap_core.errors import ImageError
from dap_core.images import ImageLimits, decode_image

def read_status(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))

def warm_up():  # what is loaded once counts for no image
    for file_format in ("JPEG", "PNG", "WEBP", "GIF"):
        buffer = io.BytesIO()
        Image.new("RGBA" if file_format == "WEBP" else "RGB", (32, 32)).save(buffer, file_format)
        decode_image(buffer.getvalue())

limits = ImageLimits(max_pixels=int(sys.argv[1]))
warm_up()
for path in sys.argv[2:]:
    data = open(path, "rb").read()
    if os.fork() == 0:
        warm_up()
        before = read_status("VmRSS")
        try:
            image = decode_image(data, limits)
            answer, num_bytes = list(image.size_wh), image.pixels.nbytes
        except ImageError as error:
            answer, num_bytes = error.error_type, 0
        print(json.dumps([read_status("VmHWM") - before, num_bytes, answer]), flush=True)
        os._exit(0)
    os.wait()
    del data
"""


def measure_decoding(folder: Path, files: dict[str, bytes], max_pixels: int = 50_000_000) -> dict[str, list[Any]]:
    """Per file: growth of the peak in bytes, bytes of the pixels, and the size or the kind of error.

    One fresh process decodes each file in a child of its own.
    """
    paths = [folder / str(number) for number in range(len(files))]
    for path, data in zip(paths, files.values(), strict=True):
        path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(max_pixels), *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return dict(zip(files, map(json.loads, done.stdout.splitlines()), strict=True))


def make_bombs() -> dict[str, bytes]:
    """Small files of too many pixels."""
    jpeg = encode_image(make_smooth_pixels(), "JPEG")
    progressive = make_jpeg_of_scans(40)
    place = progressive.index(b"\xff\xc2") + 5
    lossless = make_riff_chunk(b"VP8L", b"\x2f" + struct.pack("<I", 0x3FFF | 0x3FFF << 14) + b"\0" * 64)
    lossy = bytearray(encode_image(make_smooth_pixels(), "WEBP"))
    lossy[26:30] = b"\xff\x3f\xff\x3f"
    return {
        "PNG of 8000 x 8000": encode_image(Image.new("L", (8000, 8000))),
        "PNG claiming 65535 x 65535": make_png_claiming(65535, 65535),
        "PNG claiming 13000 x 13000": make_png_claiming(13000, 13000),
        "PNG claiming 2^31 - 1": make_png_claiming(2**31 - 1, 2**31 - 1),
        "JPEG of 8000 x 8000": encode_image(Image.new("L", (8000, 8000)), "JPEG"),
        "JPEG claiming 65535 x 65535": claim_jpeg_size(jpeg, 65535, 65535),
        "progressive JPEG": progressive[:place] + b"\xff\xff\xff\xff" + progressive[place + 4 :],
        "WebP, lossy": bytes(lossy),
        "WebP, lossless": make_webp(lossless),
        "WebP, extended": make_webp(make_webp_header(2**24, 2**24, flags=0), lossless),
        "WebP, animated": make_webp(
            make_webp_header(2**14, 2**14, flags=2),
            make_riff_chunk(b"ANMF", b"\0" * 6 + b"\xff\x3f\0" * 2 + b"\0" * 4 + lossless),
        ),
        "GIF screen": make_gif(Image.new("P", (48, 32)), screen_wh=(65535, 65535), left_top=(0, 0)),
        "GIF frame": make_gif(Image.new("P", (48, 32)), screen_wh=(64, 64), left_top=(65535, 65535)),
    }


def test_bombs_are_refused_within_20_mb(tmp_path):
    found = measure_decoding(tmp_path, make_bombs())
    assert {name: answer for name, (_, _, answer) in found.items() if answer != "image-too-many-pixels"} == {
        "WebP, extended": "undecodable-image",  # its canvas is not the size of its frame
    }
    assert {name: grown for name, (grown, _, _) in found.items() if grown >= 20 * MEGABYTE} == {}


def test_the_measurement_sees_a_bomb_that_is_decoded(tmp_path):
    bomb = {"PNG": encode_image(Image.new("L", (8000, 8000)))}
    grown, num_bytes, answer = measure_decoding(tmp_path, bomb, max_pixels=10**9)["PNG"]
    assert (num_bytes, answer) == (192_000_000, [8000, 8000])
    assert grown > num_bytes


def make_metadata_bombs() -> dict[str, bytes]:
    """Images of 48 x 32 pixels in large files, or in files that unpack to large ones."""
    pixels = make_smooth_pixels()
    png, jpeg = encode_image(pixels), encode_image(pixels, "JPEG")
    packed, stored, stored_60 = zlib.compress(b"\0" * 60 * MEGABYTE), os.urandom(20 * MEGABYTE), bytes(60 * MEGABYTE)
    webp = encode_image(pixels, "WEBP")[12:]
    return {
        "PNG, packed text": insert_chunks(png, make_chunk(b"zTXt", b"a\0\0" + packed)),
        "PNG, stored text": insert_chunks(png, make_chunk(b"zTXt", b"a\0\0" + stored_60)),
        "PNG, profile": insert_chunks(png, make_chunk(b"iCCP", b"a\0\0" + stored)),
        "PNG, EXIF": insert_chunks(png, make_chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + stored)),
        "PNG, late text": insert_chunks(png, make_chunk(b"tEXt", b"a\0" + stored), before=b"IEND"),
        "PNG, many chunks": insert_chunks(png, *(make_chunk(b"tEXt", b"%d\0" % number) for number in range(90_000))),
        "JPEG, many segments": insert_segments(jpeg, make_segment(0xE5) * 90_000),
        "JPEG, fill bytes": insert_segments(jpeg, b"\xff" * 20 * MEGABYTE),
        "WebP, profile": make_webp(make_webp_header(48, 32, 0x2C), make_riff_chunk(b"ICCP", stored), webp),
        "WebP, EXIF": make_webp(make_webp_header(48, 32, 0x2C), webp, make_riff_chunk(b"EXIF", stored)),
        "GIF, comment": make_gif(
            Image.new("P", (48, 32)),
            screen_wh=(48, 32),
            left_top=(0, 0),
            before=b"!\xfe" + (b"\xff" + b"a" * 255) * 90_000 + b"\0",
        ),
    }


def test_metadata_costs_no_memory(tmp_path):
    found = measure_decoding(tmp_path, make_metadata_bombs())
    assert {name: answer for name, (_, _, answer) in found.items() if answer != [48, 32]} == {}
    assert {name: grown for name, (grown, _, _) in found.items() if grown >= 5 * MEGABYTE} == {}


def make_transparent_16_bit_png() -> bytes:
    rows = [np.repeat(row.astype(">u2") * 257, 3).tobytes() for row in make_smooth_pixels(*SIZE)[..., 0]]
    return make_png(*SIZE, 16, 2, rows, make_chunk(b"tRNS", bytes(6)))


def make_images() -> dict[str, bytes]:
    """One image for each way through the decoders."""
    rgb = Image.fromarray(make_smooth_pixels(*SIZE))
    grey, palette, cmyk = rgb.convert("L"), rgb.quantize(64, dither=Image.Dither.NONE), rgb.convert("CMYK")
    rgba, grey_alpha = rgb.copy(), Image.merge("LA", (grey, grey))
    rgba.putalpha(grey)
    grey_16 = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    rgb_16 = cv2.imencode(".png", np.asarray(rgb).astype(np.uint16) * 257)[1].tobytes()
    turned = {f"JPEG, turned {n}": encode_image(rgb, "JPEG", exif=make_exif(n)) for n in range(2, 9)}
    fast = {"compress_level": 1}
    return {
        **turned,
        "JPEG": encode_image(rgb, "JPEG"),
        "JPEG, progressive": encode_image(rgb, "JPEG", progressive=True, subsampling=0, exif=make_exif(6)),
        "JPEG, grey": encode_image(grey, "JPEG"),
        "JPEG, CMYK": encode_image(cmyk, "JPEG"),
        "JPEG, progressive CMYK": encode_image(cmyk, "JPEG", progressive=True, exif=make_exif(6)),
        "MPO": encode_image(rgb, "MPO", save_all=True, append_images=[rgb]),
        "PNG": encode_image(rgb, exif=make_exif(6), **fast),
        "PNG, RGBA": encode_image(rgba, exif=make_exif(8), **fast),
        "PNG, grey and alpha": encode_image(grey_alpha, **fast),
        "PNG, grey": encode_image(grey, **fast),
        "PNG, 1 bit": encode_image(grey.convert("1"), **fast),
        "PNG, transparent grey": encode_image(grey, transparency=7, **fast),
        "PNG, transparent colour": encode_image(rgb, transparency=(1, 2, 3), **fast),
        "PNG, 16-bit grey": encode_image(grey_16, **fast),
        "PNG, 16-bit colour": rgb_16,
        "PNG, transparent 16-bit colour": make_transparent_16_bit_png(),
        "PNG, palette": encode_image(palette, **fast),
        "PNG, transparent palette": encode_image(palette, transparency=bytes(range(64)), exif=make_exif(5), **fast),
        "WebP": encode_image(rgb, "WEBP", method=0, exif=make_exif(6)),
        "WebP, lossless": encode_image(rgb, "WEBP", method=0, lossless=True),
        "WebP, alpha": encode_image(rgba, "WEBP", method=0, exif=make_exif(6)),
        "WebP, lossless alpha": encode_image(rgba, "WEBP", method=0, lossless=True),
        "WebP, animated": encode_image(rgba, "WEBP", method=0, save_all=True, append_images=[rgb.rotate(180)]),
        "GIF": encode_image(palette, "GIF"),
        "GIF, transparent": encode_image(palette, "GIF", transparency=3),
        "GIF, animated": encode_image(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
        "GIF, disposed": encode_image(palette, "GIF", disposal=2),
    }


def test_an_image_costs_less_than_four_times_its_pixels(tmp_path):
    found = measure_decoding(tmp_path, make_images())
    assert {name: answer for name, (_, _, answer) in found.items() if answer not in ([*SIZE], [*SIZE[::-1]])} == {}
    costs = {name: round(grown / num_bytes, 2) for name, (grown, num_bytes, _) in found.items()}
    assert {name: cost for name, cost in costs.items() if not 1 <= cost < 4} == {}
