"""Damaged files: an image or an ImageError, and nothing else, wherever the damage is."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dap_core.errors import ImageError
from dap_core.images import ImageLimits, decode_image
from tests.builders import encode_image, make_exif, make_pixels
from tests.image_builders import PNG_SIGNATURE

SIZE = (48, 32)
LIMITS = ImageLimits(max_pixels=10**6, min_side=1, max_aspect_ratio=10**6)


def make_files() -> dict[str, bytes]:
    rgb = Image.fromarray(make_pixels())
    grey, palette, rgba = rgb.convert("L"), rgb.quantize(64), rgb.copy()
    rgba.putalpha(grey)
    animation = {"save_all": True, "append_images": [rgb.rotate(180)]}
    return {
        "JPEG": encode_image(rgb, "JPEG", exif=make_exif(6)),
        "JPEG, progressive": encode_image(rgb, "JPEG", progressive=True, restart_marker_blocks=2),
        "JPEG, CMYK": encode_image(rgb.convert("CMYK"), "JPEG"),
        "PNG": encode_image(rgb, exif=make_exif(6)),
        "PNG, 16 bit": encode_image(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)),
        "PNG, palette": encode_image(palette, transparency=3),
        "PNG, animated": encode_image(rgba, **animation),
        "WebP": encode_image(rgb, "WEBP", exif=make_exif(6)),
        "WebP, lossless": encode_image(rgba, "WEBP", lossless=True),
        "WebP, alpha": encode_image(rgba, "WEBP"),
        "WebP, animated": encode_image(rgba, "WEBP", **animation),
        "GIF": encode_image(palette, "GIF", comment=b"a comment", transparency=2),
        "GIF, animated": encode_image(palette, "GIF", **animation),
    }


FILES = make_files()

places = st.one_of(st.integers(0, 60), st.integers(0, 800), st.integers(0, 100_000))
few_bytes = st.sampled_from([b"\0", b"\xff", b"\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"]) | st.binary(max_size=9)
kinds = st.sampled_from(["set", "insert", "delete", "repeat", "cut"])
damages = st.lists(st.tuples(kinds, places, few_bytes), max_size=5)


def apply_damage(data: bytes, kind: str, place: int, values: bytes) -> bytes:
    place %= len(data) + 1
    after = place + len(values)
    if kind == "cut":
        return data[:place]
    if kind == "insert":
        return data[:place] + values + data[place:]
    if kind == "delete":
        return data[:place] + data[after:]
    if kind == "repeat":
        return data[:after] + data[max(0, place - 40) :]
    return data[:place] + values + data[after:]


def mend_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the right checksums, so that its decoder meets the damage."""
    mended, place = bytearray(data), len(PNG_SIGNATURE)
    while data.startswith(PNG_SIGNATURE) and place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        mended[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big") if end + 4 <= len(data) else b""
        place = end + 4
    return bytes(mended)


@pytest.mark.parametrize("name", FILES)
@given(damage=damages, mended=st.booleans())
def test_a_damaged_file_is_an_image_or_an_image_error_and_nothing_else(name, damage, mended):
    data = FILES[name]
    for kind, place, values in damage:
        data = apply_damage(data, kind, place, values)
    try:
        decoded = decode_image(mend_checksums(data) if mended else data, LIMITS)
    except ImageError:
        return
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape == (*decoded.size_wh[::-1], 3)


@pytest.mark.parametrize("name", FILES)
def test_without_damage_each_file_is_an_image(name):
    assert sorted(decode_image(FILES[name]).size_wh) == sorted(SIZE)


@given(head=st.sampled_from([data[:12] for data in FILES.values()]), tail=st.binary(max_size=200))
def test_random_bytes_after_a_signature_are_an_image_error(head, tail):
    with pytest.raises(ImageError):
        decode_image(head + tail)


@given(data=st.binary(max_size=200))
def test_random_bytes_are_an_image_error(data):
    with pytest.raises(ImageError):
        decode_image(data)
