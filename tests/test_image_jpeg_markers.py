"""What the markers of a JPEG say before anything is decoded: its scans, its coding, its size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dap_core.images import ImageLimits, decode_image
from tests.builders import encode_image, make_pixels, make_smooth_pixels
from tests.image_builders import (
    error_of,
    find_frame_header,
    insert_segments,
    make_jpeg_of_scans,
    make_segment,
)

SIZE = (48, 32)
SCAN_LIKE = b"\xff\xda" * 300


@pytest.fixture
def no_decoder(monkeypatch):
    """Decoding is an error of another kind."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the pixels were decoded"))


def change(data: bytes, place: int, *values: int) -> bytes:
    return data[:place] + bytes(values) + data[place + len(values) :]


def test_a_jpeg_of_100_scans_is_decoded():
    assert decode_image(make_jpeg_of_scans(100)).size_wh == SIZE


@pytest.mark.parametrize("num_scans", [101, 10_000])
def test_a_jpeg_of_more_scans_is_refused_before_it_is_decoded(num_scans, no_decoder):
    error = error_of(make_jpeg_of_scans(num_scans))
    assert error.error_type == "too-many-scans"
    assert "more than 100 scans; at most 100 are decoded: save it again" in str(error)


def test_the_number_of_scans_can_be_chosen():
    usual = encode_image(make_pixels(), "JPEG", progressive=True)
    assert usual.count(b"\xff\xda") == 10
    assert decode_image(usual, ImageLimits(max_scans=10)).size_wh == SIZE
    assert error_of(usual, ImageLimits(max_scans=9)).error_type == "too-many-scans"


@pytest.mark.parametrize(
    "between",
    [make_segment(0xFE, b"a comment"), make_segment(0xC4), b"\xff\xff\xff", b"\xff\x05\xff\xff", b"\xff\x00" * 40],
    ids=["comment", "tables", "fill bytes", "unknown marker with a false length", "stuffed bytes"],
)
def test_scans_are_counted_whatever_lies_between_them(between, no_decoder):
    assert error_of(make_jpeg_of_scans(150, between=between)).error_type == "too-many-scans"


@pytest.mark.parametrize(
    "make_file",
    [
        lambda jpeg: insert_segments(jpeg, make_segment(0xFE, SCAN_LIKE)),
        lambda jpeg: insert_segments(jpeg, make_segment(0xE1, b"Exif\0\0" + SCAN_LIKE)),
        lambda jpeg: jpeg[:-2] + make_segment(0xFE, SCAN_LIKE) + jpeg[-2:],
        lambda jpeg: jpeg + b"PK\x03\x04" + SCAN_LIKE,
    ],
    ids=["comment before", "EXIF", "comment after", "zip behind the end"],
)
@pytest.mark.parametrize("progressive", [True, False])
def test_what_only_looks_like_scans_is_not_counted(make_file, progressive):
    jpeg = encode_image(make_pixels(), "JPEG", progressive=progressive)
    np.testing.assert_array_equal(decode_image(make_file(jpeg)).pixels, decode_image(jpeg).pixels)


def test_scans_a_baseline_jpeg_does_not_need_cost_nothing_and_change_nothing():
    jpeg = encode_image(make_pixels(), "JPEG")
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    found = decode_image(jpeg[:-2] + scan * 500 + jpeg[-2:])
    np.testing.assert_array_equal(found.pixels, decode_image(jpeg).pixels)


def test_endless_segments_between_scans_are_refused(no_decoder):
    jpeg = make_jpeg_of_scans(50)[:-2] + make_segment(0xFE) * 100_001 + SCAN_LIKE + b"\xff\xd9"
    assert error_of(jpeg).error_type == "undecodable-image"


@pytest.mark.parametrize(
    ("marker", "feature"),
    [
        (0xC3, "lossless"),
        (0xC5, "hierarchical"),
        (0xC6, "hierarchical"),
        (0xC7, "hierarchical"),
        (0xC8, "a reserved coding"),
        (0xC9, "arithmetic"),
        (0xCA, "arithmetic"),
        (0xCB, "lossless arithmetic"),
        (0xCD, "hierarchical"),
        (0xCE, "hierarchical"),
        (0xCF, "hierarchical"),
        (0xDE, "hierarchical"),
        (0xF7, "JPEG-LS"),
    ],
)
def test_rare_codings_are_refused_by_name(marker, feature, no_decoder):
    jpeg = encode_image(make_pixels(), "JPEG")
    error = error_of(change(jpeg, find_frame_header(jpeg) + 1, marker))
    assert error.error_type == "unsupported-jpeg-feature"
    assert f"the JPEG uses {feature}" in str(error)
    assert "supported are Huffman-coded baseline and progressive files of 8 bits" in str(error)


@pytest.mark.parametrize("bits", [2, 12, 16])
@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2])
def test_samples_of_other_than_8_bits_are_refused(bits, marker, no_decoder):
    jpeg = encode_image(make_pixels(), "JPEG")
    place = find_frame_header(jpeg)
    error = error_of(change(change(jpeg, place + 1, marker), place + 4, bits))
    assert (error.error_type, f"{bits}-bit samples" in str(error)) == ("unsupported-jpeg-feature", True)


def test_two_colour_components_are_refused(no_decoder):
    jpeg = encode_image(make_pixels(), "JPEG")
    place = find_frame_header(jpeg)
    two = jpeg[:place] + make_segment(0xC0, jpeg[place + 4 : place + 9] + b"\x02" + jpeg[place + 10 : place + 16])
    assert "2 colour components" in str(error_of(two + jpeg[place + 19 :]))


def test_an_extended_sequential_jpeg_is_decoded():
    jpeg = encode_image(make_pixels(), "JPEG")
    found = decode_image(change(jpeg, find_frame_header(jpeg) + 1, 0xC1))
    np.testing.assert_array_equal(found.pixels, decode_image(jpeg).pixels)


@pytest.mark.parametrize("junk", [b"\xff" * 1000, b"\0" * 1000, b"\xff\x00" * 500, b"\xff\xd0\xff\x01"])
def test_padding_between_segments_is_skipped_as_the_decoder_skips_it(junk):
    jpeg = encode_image(make_smooth_pixels(), "JPEG")
    place = find_frame_header(jpeg)
    found = decode_image(jpeg[:place] + junk + jpeg[place:])
    np.testing.assert_array_equal(found.pixels, decode_image(jpeg).pixels)


def test_broken_headers_are_undecodable(no_decoder):
    jpeg = encode_image(make_pixels(), "JPEG")
    frame, scan = find_frame_header(jpeg), jpeg.index(b"\xff\xda")
    header = jpeg[frame : frame + 19]
    broken = {
        "two frame headers": jpeg[:frame] + header + jpeg[frame:],
        "frame header too short": change(jpeg, frame + 9, 4),
        "no frame header": jpeg[:frame] + jpeg[frame + 19 :],
        "no pixels": jpeg[:scan] + b"\xff\xd9",
        "second start": jpeg[:scan] + jpeg,
        "length beyond the end": jpeg[:scan] + b"\xff\xfe\xff\xff" + jpeg[scan:],
        "no rows yet": change(jpeg, frame + 5, 0, 0),
        "endless segments": insert_segments(jpeg, make_segment(0xE5) * 100_001),
    }
    assert {name: error_of(data).error_type for name, data in broken.items()} == dict.fromkeys(
        broken, "undecodable-image"
    )


def test_a_jpeg_cut_in_its_header_is_truncated():
    jpeg = encode_image(make_pixels(), "JPEG")
    places = range(1, jpeg.index(b"\xff\xda") + 14)
    assert {error_of(jpeg[:place]).error_type for place in places} == {"truncated-image"}


def test_lack_of_memory_is_not_blamed_on_the_image(monkeypatch):
    def fail(*args: object) -> None:
        error = cv2.error("no room")
        error.code, error.err = cv2.Error.StsNoMem, "Failed to allocate 108000000 bytes"
        raise error

    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(MemoryError, match="108000000"):
        decode_image(encode_image(make_pixels(), "JPEG"))
