"""Bytes to upright pixels: what is taken and how, and what is refused and why. Every image is made here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from dap_core.images import ImageLimits, decode_image
from tests.builders import encode_image, make_pixels, make_png_claiming, make_smooth_pixels
from tests.image_builders import error_of

SIZE = (48, 32)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def colour_of(image: Image.Image, file_format: str = "PNG", **options: object) -> list[int]:
    """The mean colour an image of one colour decodes to."""
    pixels = decode_image(encode_image(image, file_format, **options)).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (image.height, image.width, 3)
    return pixels.reshape(-1, 3).mean(0).round().astype(int).tolist()


@pytest.mark.parametrize(
    ("data", "error_type", "words"),
    [
        (b"", "empty-image", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not-an-image", "starts with HTML: b'<!DOCTYPE ht'"),
        (b"\xef\xbb\xbf\r\n<html>", "not-an-image", "starts with HTML"),
        (b'{"error": "not found"}', "not-an-image", """starts with b'{"error": "n'"""),
        (b"\0" * 500, "not-an-image", "starts with"),
        (b"version https://git-lfs.github.com/spec/v1", "not-an-image", "supported are JPEG, PNG, WEBP, GIF"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not-an-image", "starts with"),
        (b"II*\0" + b"\0" * 60, "unsupported-image-format", "TIFF"),
        (b"MM\0*" + b"\0" * 60, "unsupported-image-format", "TIFF"),
        (b"BM" + b"\0" * 60, "unsupported-image-format", "BMP"),
        (b"%PDF-1.7\n" + b"\0" * 60, "unsupported-image-format", "PDF"),
        (b"8BPS" + b"\0" * 60, "unsupported-image-format", "PSD"),
        (b"%!PS-Adobe-3.0 EPSF", "unsupported-image-format", "EPS"),
        (b"\n <svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported-image-format", "SVG"),
        (b"<?xml version='1.0'?><!-- drawn --><svg/>", "unsupported-image-format", "SVG"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "unsupported-image-format", "JPEG 2000"),
        (b"\xff\x0a" + b"\0" * 60, "unsupported-image-format", "JPEG XL"),
        (b"SIMPLE  =                    T", "unsupported-image-format", "FITS"),
        (b"PK\x03\x04" + b"\0" * 60, "unsupported-image-format", "zip"),
        (b"\x1f\x8b\x08" + b"\0" * 60, "unsupported-image-format", "gzip"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 60, "unsupported-image-format", "HEIC"),
        (b"\0\0\0\x18ftypavif" + b"\0" * 60, "unsupported-image-format", "AVIF"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 60, "unsupported-image-format", "ISO media"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_what_is_no_supported_image_is_refused_by_name(data, error_type, words):
    error = error_of(data)
    assert error.error_type == error_type
    assert words in str(error)


@pytest.mark.parametrize("file_format", ["TIFF", "BMP"])
def test_real_files_of_other_formats_are_refused_although_the_decoders_could_read_them(file_format):
    error = error_of(encode_image(make_pixels(), file_format))
    assert error.error_type == "unsupported-image-format"
    assert file_format in str(error)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_file_that_ends_early_is_truncated_wherever_it_ends(file_format, share):
    data = encode_image(make_pixels(96, 64), file_format)
    assert error_of(data[: int(len(data) * share)]).error_type == "truncated-image"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_file_that_ends_in_its_header_is_truncated(file_format):
    assert error_of(encode_image(make_pixels(), file_format)[:11]).error_type == "truncated-image"


@pytest.mark.parametrize(
    "data", [b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"RIFF\x24\0\0\0WE"]
)
def test_the_beginning_of_a_signature_is_a_truncated_image(data):
    assert error_of(data).error_type == "truncated-image"


def test_a_jpeg_without_its_end_marker_is_truncated():
    data = encode_image(make_pixels(), "JPEG")
    assert data.endswith(b"\xff\xd9")
    assert error_of(data[:-2]).error_type == "truncated-image"


def test_a_damaged_png_is_undecodable():
    data = bytearray(encode_image(make_pixels()))
    data[29] ^= 0xFF  # checksum of the header
    assert error_of(bytes(data)).error_type == "undecodable-image"


def test_bytes_after_the_end_of_an_image_are_ignored():
    assert decode_image(encode_image(make_pixels(), "JPEG") + b"PK\x03\x04 and more").size_wh == SIZE


@pytest.mark.parametrize(
    ("size", "error_type"),
    [
        ((65535, 65535), "image-too-many-pixels"),
        ((2**31 - 1, 2**31 - 1), "image-too-many-pixels"),
        ((13000, 13000), "image-too-many-pixels"),  # PIL only warns
        ((10_001, 5_000), "image-too-many-pixels"),
        ((1, 1), "image-too-small"),
        ((15, 200), "image-too-small"),
        ((20_000, 1), "image-too-small"),
        ((321, 16), "aspect-ratio-too-large"),
        ((16, 321), "aspect-ratio-too-large"),
        ((0, 0), "undecodable-image"),
    ],
    ids=str,
)
def test_sizes_are_refused_from_the_header(size, error_type):
    """The files hold next to no pixels: decoding them would be another error."""
    assert error_of(make_png_claiming(*size)).error_type == error_type


@pytest.mark.parametrize("size", [(16, 16), (320, 16), (16, 320)])
def test_sizes_at_the_limit_are_taken(size):
    assert decode_image(encode_image(make_pixels(*size))).size_wh == size


def test_limits_can_be_chosen():
    limits = ImageLimits(max_pixels=1000, min_side=4, max_aspect_ratio=2)
    assert decode_image(encode_image(make_pixels(8, 4)), limits).size_wh == (8, 4)
    assert error_of(encode_image(make_pixels(9, 4)), limits).error_type == "aspect-ratio-too-large"
    assert error_of(encode_image(make_pixels(40, 30)), limits).error_type == "image-too-many-pixels"


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_lossless_formats_keep_every_pixel(file_format):
    image = Image.fromarray(make_pixels()) if file_format == "PNG" else Image.fromarray(make_pixels()).quantize(200)
    np.testing.assert_array_equal(decode_image(encode_image(image, file_format)).pixels, np.array(image.convert("RGB")))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_is_read_in_rgb_order(options):
    pixels = make_smooth_pixels()
    found = decode_image(encode_image(pixels, "JPEG", quality=95, **options)).pixels
    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("L", SIZE, 90), [90, 90, 90]),
        (Image.new("1", SIZE, 1), [255, 255, 255]),
        (Image.new("1", SIZE, 0), [0, 0, 0]),
        (Image.new("LA", SIZE, (0, 128)), [127, 127, 127]),
        (Image.new("LA", SIZE, (0, 0)), [255, 255, 255]),
        (Image.new("RGBA", SIZE, (0, 0, 255, 128)), [127, 127, 255]),
        (Image.new("RGBA", SIZE, (9, 9, 9, 0)), [255, 255, 255]),
        (Image.new("RGBA", SIZE, (9, 8, 7, 255)), [9, 8, 7]),
        (Image.new("I;16", SIZE, 0x12FF), [0x12, 0x12, 0x12]),
        (Image.new("I;16", SIZE, 0xFFFF), [255, 255, 255]),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_grey_16_bit_and_transparent_pngs_become_rgb_on_white(image, colour):
    assert colour_of(image) == colour


def test_16_bit_rgb_keeps_the_high_byte():
    samples = np.empty((32, 48, 3), np.uint16)
    samples[:] = (0x30FF, 0x2000, 0x10FF)  # BGR
    data = cv2.imencode(".png", samples)[1].tobytes()
    assert np.unique(decode_image(data).pixels.reshape(-1, 3), axis=0).tolist() == [[0x10, 0x20, 0x30]]


def test_a_palette_is_looked_up_and_its_transparent_entry_is_white():
    image = Image.new("P", SIZE, 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.paste(0, (0, 0, 24, 32))
    pixels = decode_image(encode_image(image, transparency=0)).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, -1].tolist() == [10, 20, 30]


def test_a_transparent_grey_level_is_white():
    assert colour_of(Image.new("L", SIZE, 7), transparency=7) == [255, 255, 255]


@pytest.mark.parametrize(
    ("cmyk", "colour"), [((0, 255, 255, 0), (255, 0, 0)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 155), (100,) * 3)]
)
def test_a_cmyk_jpeg_has_its_true_colours(cmyk, colour):
    assert colour_of(Image.new("CMYK", SIZE, cmyk), "JPEG") == pytest.approx(colour, abs=3)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "MPO"])
def test_of_an_animation_the_first_frame_counts(file_format):
    more = [Image.new("RGB", SIZE, BLUE), Image.new("RGB", SIZE, (0, 255, 0))]
    colour = colour_of(Image.new("RGB", SIZE, RED), file_format, save_all=True, append_images=more)
    assert colour == pytest.approx(RED, abs=3)
