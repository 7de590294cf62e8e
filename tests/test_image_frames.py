"""Upright pixels: EXIF orientations against PIL, arrays and open PIL images, and damaged photographs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from dap_core.errors import ImageError
from dap_core.images import ImageLimits, decode_image, encode_jpeg, image_from_pillow, image_from_pixels
from tests.builders import encode_image, make_exif, make_pixels, make_smooth_pixels

SIZE = (48, 32)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_exif_orientation_is_applied_as_pil_applies_it(file_format, orientation):
    data = encode_image(make_smooth_pixels(), file_format, exif=make_exif(orientation))
    expected = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    decoded = decode_image(data)
    assert decoded.exif_orientation == orientation
    assert decoded.size_wh == ((32, 48) if orientation >= 5 else SIZE)
    assert np.abs(decoded.pixels.astype(int) - expected).max() <= (4 if file_format == "JPEG" else 0)
    assert decoded.pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_unknown_orientation_counts_as_1(orientation):
    decoded = decode_image(encode_image(make_pixels(), exif=make_exif(orientation)))
    assert decoded.exif_orientation == 1
    np.testing.assert_array_equal(decoded.pixels, make_pixels())


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"no exif at all"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_broken_exif_loses_no_image(file_format, exif):
    decoded = decode_image(encode_image(make_pixels(), file_format, exif=exif))
    assert (decoded.size_wh, decoded.exif_orientation) == (SIZE, 1)


def test_limits_hold_before_the_image_is_turned():
    data = encode_image(make_pixels(40, 20), exif=make_exif(6))
    assert decode_image(data, ImageLimits(max_aspect_ratio=2)).size_wh == (20, 40)


def test_an_open_pil_image_is_turned_like_its_file():
    data = encode_image(make_pixels(), exif=make_exif(8))
    found = image_from_pillow(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(found.pixels, decode_image(data).pixels)
    assert found.exif_orientation == 8


def test_a_pil_image_without_a_file_is_taken_as_it_is():
    np.testing.assert_array_equal(image_from_pillow(Image.fromarray(make_pixels())).pixels, make_pixels())


def test_an_open_pil_image_that_ends_early_is_truncated():
    data = encode_image(make_pixels())
    with pytest.raises(ImageError) as caught:
        image_from_pillow(Image.open(io.BytesIO(data[: len(data) // 2])))
    assert caught.value.error_type == "truncated-image"


def test_an_array_is_taken_as_it_is_even_when_it_is_a_view():
    pixels = make_pixels(50, 40)
    decoded = image_from_pixels(pixels[::-1, 2:])
    np.testing.assert_array_equal(decoded.pixels, pixels[::-1, 2:])
    assert decoded.size_wh == (48, 40)


@pytest.mark.parametrize(
    "array",
    [np.zeros((32, 48), np.uint8), np.zeros((32, 48, 4), np.uint8), np.zeros((32, 48, 3), np.float32)],
    ids=["grey", "four channels", "float"],
)
def test_an_array_of_another_kind_is_a_wrong_call(array):
    with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\] in RGB, got"):
        image_from_pixels(array)


def test_limits_hold_for_arrays_and_pil_images_too():
    for take in (image_from_pixels, lambda pixels: image_from_pillow(Image.fromarray(pixels))):
        with pytest.raises(ImageError) as caught:
            take(make_pixels(8, 8))
        assert caught.value.error_type == "image-too-small"


def test_a_written_jpeg_reads_back_in_the_same_colours():
    pixels = make_smooth_pixels()
    decoded = decode_image(encode_jpeg(pixels, quality=95))
    assert np.abs(decoded.pixels.astype(int) - pixels).mean() < 3


@pytest.mark.real_data
def test_of_real_photographs_just_the_damaged_ones_are_refused(data_dir):
    """PIL, which refuses damaged files as well, is the reference for which these are."""
    files = [path.read_bytes() for path in sorted((data_dir / "kangaroo" / "images").iterdir())]
    answers = [answer_of(data) for data in files]
    assert answers == ["decoded" if pil_can_decode(data) else "truncated-image" for data in files]
    assert 0 < answers.count("truncated-image") < len(files) / 10


def answer_of(data: bytes) -> str:
    try:
        decode_image(data)
    except ImageError as error:
        return error.error_type
    return "decoded"


def pil_can_decode(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True
