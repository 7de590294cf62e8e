"""Near duplicates: copies of a photograph are found, other photographs are not, flat and broken images are reported."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from dap_core.datasets import near_duplicates
from dap_core.datasets.near_duplicates import MAX_DISTANCE, NearDuplicate, find_near_duplicates, fingerprint_images
from dap_core.images import ImageLimits, decode_image, encode_jpeg
from dap_core.images.fingerprints import Fingerprint, compute_fingerprint, measure_distances, unpack_bits
from tests.builders import encode_image

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
OCTAVES = (3, 6, 12, 24)


def make_texture(seed: int, size_wh: tuple[int, int] = (200, 150)) -> np.ndarray:
    """A random RGB image with large soft shapes and fainter small ones, as photographs have."""
    draw = np.random.default_rng(seed)
    layers = [
        cv2.resize(draw.normal(size=(cells, cells, 3)), size_wh, interpolation=cv2.INTER_CUBIC) / cells
        for cells in OCTAVES
    ]
    return np.clip(128 + 150 * sum(layers), 0, 255).astype(np.uint8)


def shrink(pixels: np.ndarray, short_side: int) -> np.ndarray:
    """The pixels with that short side, aspect ratio kept."""
    height, width = pixels.shape[:2]
    scale = short_side / min(height, width)
    return cv2.resize(pixels, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def recompress(pixels: np.ndarray, quality: int = 60) -> np.ndarray:
    """The pixels after JPEG."""
    return decode_image(encode_jpeg(np.ascontiguousarray(pixels), quality)).pixels


def mirror(pixels: np.ndarray) -> np.ndarray:
    """The pixels from right to left."""
    return np.ascontiguousarray(pixels[:, ::-1])


def measure_distance(first: np.ndarray, second: np.ndarray) -> int:
    """The bits in which two images differ, the second as it is or mirrored."""
    prints = [unpack_bits([compute_fingerprint(pixels).bits]) for pixels in (first, second)]
    return int(measure_distances(*prints)[0, 0])


def make_prints(count: int, seed: int = 0, prefix: str = "") -> dict[str, Fingerprint]:
    """Random fingerprints, the bit of the mean 0 as always."""
    bits = np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)
    bits[:, 0] &= 127
    return {f"{prefix}{number}.jpg": Fingerprint(row.tobytes()) for number, row in enumerate(bits)}


def flip_bits(one: Fingerprint, *positions: int) -> Fingerprint:
    """The fingerprint with these of its 256 bits inverted."""
    bits = np.unpackbits(np.frombuffer(one.bits, np.uint8))
    bits[list(positions)] ^= 1
    return Fingerprint(np.packbits(bits).tobytes())


COPIES = {
    "the same": lambda pixels: pixels,
    "recompressed": recompress,
    "mirrored": mirror,
    "96 pixels": lambda pixels: shrink(pixels, 96),
    "64 pixels, recompressed": lambda pixels: recompress(shrink(pixels, 64)),
    "64 pixels, mirrored, recompressed": lambda pixels: recompress(mirror(shrink(pixels, 64)), 40),
    "squashed to 64 x 64": lambda pixels: cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA),
    "twice as large": lambda pixels: cv2.resize(pixels, None, fx=2, fy=2),
    "grey": lambda pixels: np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
    "brighter, less contrast": lambda pixels: (pixels // 2 + 100).astype(np.uint8),
}


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES)
def test_a_copy_of_a_photograph_differs_in_few_bits(photo, make_copy):
    pixels = getattr(skimage.data, photo)()
    assert measure_distance(pixels, make_copy(pixels)) <= 20


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    short_side=st.integers(64, 220),
    quality=st.integers(50, 95),
    mirrored=st.booleans(),
)
def test_any_copy_is_found_and_another_image_is_not(seed, short_side, quality, mirrored):
    pixels = make_texture(seed)
    copy = recompress(shrink(mirror(pixels) if mirrored else pixels, short_side), quality)
    first = {"original": compute_fingerprint(pixels)}
    second = {"other": compute_fingerprint(make_texture(seed + 1)), "copy": compute_fingerprint(copy)}
    assert [found.second_key for found in find_near_duplicates(first, second)] == ["copy"]


def test_different_photographs_are_told_apart():
    images = [getattr(skimage.data, photo)() for photo in PHOTOS] + [make_texture(seed) for seed in range(20)]
    assert min(measure_distance(*pair) for pair in combinations(images, 2)) > MAX_DISTANCE + 10


def cut_centre(pixels: np.ndarray) -> np.ndarray:
    """The square in the middle."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


@pytest.mark.parametrize("photo", ["chelsea", "coffee", "rocket"])
@pytest.mark.parametrize("upright", [True, False])
def test_the_square_in_the_middle_is_found_from_both_sides(photo, upright):
    pixels = getattr(skimage.data, photo)()
    pixels = pixels if upright else np.ascontiguousarray(pixels.transpose(1, 0, 2))
    copy = recompress(mirror(shrink(cut_centre(pixels), 64)))
    whole, cut = {"whole": compute_fingerprint(pixels)}, {"cut": compute_fingerprint(copy)}
    assert measure_distance(pixels, copy) > MAX_DISTANCE
    (found,) = find_near_duplicates(whole, cut)
    assert (found.first_key, found.second_key) == ("whole", "cut")
    assert found.distance <= 20
    assert find_near_duplicates(cut, whole) == [NearDuplicate("cut", "whole", found.distance)]


def test_a_pair_that_is_near_in_several_ways_comes_once_with_the_least_distance():
    bits = make_prints(1)["0.jpg"]
    one = Fingerprint(bits.bits, flip_bits(bits, 1, 2).bits)
    other = Fingerprint(flip_bits(bits, 1, 2, 3).bits, flip_bits(bits, 1, 2, 3, 4, 5).bits)
    assert find_near_duplicates({"a": one}, {"b": other}) == [NearDuplicate("a", "b", 1)]
    assert find_near_duplicates({"b": other}, {"a": one}) == [NearDuplicate("b", "a", 1)]


def test_a_flat_middle_matches_nothing():
    pixels = np.full((100, 300, 3), 128, np.uint8)
    pixels[:, :90] = make_texture(1, (90, 100))
    one = compute_fingerprint(pixels)
    assert (one.is_flat, one.centre_bits) == (False, None)


def test_an_image_turned_upside_down_is_another_image():
    pixels = skimage.data.chelsea()
    assert measure_distance(pixels, pixels[::-1]) > MAX_DISTANCE


def test_the_first_half_of_the_bits_is_shared_with_the_mirror_image_and_the_second_inverted():
    pixels = make_texture(1)
    bits, mirrored = (
        np.unpackbits(np.frombuffer(compute_fingerprint(image).bits, np.uint8)) for image in (pixels, mirror(pixels))
    )
    assert bits[0] == 0
    np.testing.assert_array_equal(bits[:128], mirrored[:128])
    np.testing.assert_array_equal(bits[128:], 1 - mirrored[128:])


def make_flat_images() -> dict[str, np.ndarray]:
    """Images without anything to recognise them by."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    faint = np.full((100, 100, 3), 90, np.uint8)
    faint[30:60, 40:80] += 5
    return {
        "black": np.zeros((50, 70, 3), np.uint8),
        "white": np.full((64, 64, 3), 255, np.uint8),
        "grey": recompress(np.full((64, 80, 3), 100, np.uint8)),
        "noise": noise,
        "faint": faint,
    }


def test_flat_images_match_nothing_and_are_named():
    images = make_flat_images() | {"texture": make_texture(0)}
    found = fingerprint_images((key, encode_image(pixels)) for key, pixels in images.items())
    assert found.flat_keys == ("black", "white", "grey", "noise", "faint")
    assert find_near_duplicates(found.fingerprints, found.fingerprints, max_distance=90) == [
        NearDuplicate("texture", "texture", 0)
    ]


def test_an_image_with_little_contrast_is_still_found():
    pixels = make_texture(2).astype(np.float32)
    faint = (120 + (pixels - 128) / 5).astype(np.uint8)
    assert not compute_fingerprint(faint).is_flat
    assert measure_distance(faint, recompress(faint, 80)) <= MAX_DISTANCE


@pytest.mark.parametrize("size_wh", [(1, 1), (16, 16), (31, 33), (400, 20)])
def test_images_of_any_size_have_a_fingerprint(size_wh):
    assert len(compute_fingerprint(make_texture(0, size_wh)).bits) == 32


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)],
    ids=["grey", "four channels", "float", "empty"],
)
def test_other_arrays_are_a_wrong_call(pixels):
    with pytest.raises(ValueError, match=r"pixels must be uint8 \[height, width, 3\] in RGB, got"):
        compute_fingerprint(pixels)


def test_a_fingerprint_of_another_length_is_a_wrong_call():
    with pytest.raises(ValueError, match="has 32 bytes, got 31"):
        Fingerprint(bytes(31))
    with pytest.raises(ValueError, match="has 32 bytes, got 33"):
        Fingerprint(bytes(32), bytes(33))


def test_distances_are_those_counted_bit_by_bit():
    first, second = list(make_prints(7, seed=1).values()), list(make_prints(5, seed=2).values())
    mirrored = [flip_bits(one, *range(128, 256)) for one in second]

    def count(one: Fingerprint, other: Fingerprint) -> int:
        return (int.from_bytes(one.bits) ^ int.from_bytes(other.bits)).bit_count()

    expected = [
        [min(count(one, other), count(one, turned)) for other, turned in zip(second, mirrored, strict=True)]
        for one in first
    ]
    found = measure_distances(*(unpack_bits([one.bits for one in prints]) for prints in (first, second)))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("max_distance", [0, 2, 3, 4])
def test_a_pair_at_the_limit_counts_and_one_beyond_does_not(max_distance):
    one = make_prints(1)["0.jpg"]
    found = find_near_duplicates({"a": one}, {"b": flip_bits(one, 5, 77, 200)}, max_distance=max_distance)
    assert found == ([NearDuplicate("a", "b", 3)] if max_distance >= 3 else [])


def test_pairs_come_in_the_order_of_both_sets_whatever_the_chunks(monkeypatch):
    originals = make_prints(30)
    first = dict(reversed(originals.items()))
    second = {f"{key}/{copy}": flip_bits(one, copy + 1) for copy in (1, 0) for key, one in originals.items()}
    expected = [NearDuplicate(key, f"{key}/{copy}", 1) for key in first for copy in (1, 0)]
    assert find_near_duplicates(first, second) == expected
    monkeypatch.setattr(near_duplicates, "_CHUNK", 7)
    assert find_near_duplicates(first, second) == expected


def test_the_few_pairs_among_millions_are_found():
    first, second = make_prints(3000, seed=1, prefix="a"), make_prints(3000, seed=2, prefix="b")
    second["b2500.jpg"] = flip_bits(first["a17.jpg"], 9, 10)
    second["b3.jpg"] = flip_bits(first["a2999.jpg"], *range(128, 256))
    assert find_near_duplicates(first, second) == [
        NearDuplicate("a17.jpg", "b2500.jpg", 2),
        NearDuplicate("a2999.jpg", "b3.jpg", 0),
    ]


def test_without_images_there_are_no_pairs():
    some = make_prints(2)
    assert find_near_duplicates({}, {}) == find_near_duplicates(some, {}) == find_near_duplicates({}, some) == []
    empty = fingerprint_images([])
    assert (dict(empty.fingerprints), empty.failures, empty.flat_keys) == ({}, (), ())


@pytest.mark.parametrize("max_distance", [-1, 256])
def test_a_distance_that_cannot_be_is_a_wrong_call(max_distance):
    with pytest.raises(ValueError, match=f"max_distance must be 0 to 255 bits, got {max_distance}"):
        find_near_duplicates({}, {}, max_distance=max_distance)


def test_what_cannot_be_decoded_is_reported_and_the_rest_goes_on():
    good = encode_image(make_texture(3))
    images = [("ä b.png", good), ("cut.png", good[:500]), ("text", b"no image"), ("none", b""), ("last.png", good)]
    found = fingerprint_images(images)
    assert list(found.fingerprints) == ["ä b.png", "last.png"]
    assert [(one.key, one.error_type) for one in found.failures] == [
        ("cut.png", "truncated-image"),
        ("text", "not-an-image"),
        ("none", "empty-image"),
    ]
    assert all(one.message for one in found.failures)


def test_limits_are_those_of_the_decoder():
    data = encode_image(make_texture(3))
    found = fingerprint_images([("large", data)], limits=ImageLimits(max_pixels=1000))
    assert [one.error_type for one in found.failures] == ["image-too-many-pixels"]


@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_stream_keeps_its_order_and_its_fingerprints(num_threads):
    images = {f"{number}.png": make_texture(number, (60, 40)) for number in range(50)}
    found = fingerprint_images(
        ((key, encode_image(pixels)) for key, pixels in reversed(images.items())), num_threads=num_threads
    )
    assert list(found.fingerprints) == list(reversed(images))
    assert found.fingerprints == {key: compute_fingerprint(pixels) for key, pixels in images.items()}


def test_a_stream_is_not_held_in_memory():
    taken = []
    data = encode_image(make_texture(0, (40, 40)))
    seen_when_decoded = []

    def give_images():
        for number in range(400):
            taken.append(number)
            yield f"{number}.png", data

    def note(*_: object) -> Fingerprint:
        seen_when_decoded.append(len(taken))
        return Fingerprint(bytes(32))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "compute_fingerprint", note)
        assert len(fingerprint_images(give_images(), num_threads=1).fingerprints) == 400
    assert max(taken_by - done for done, taken_by in enumerate(seen_when_decoded)) < 100


def test_a_key_that_occurs_twice_is_a_wrong_call():
    data = encode_image(make_texture(0))
    with pytest.raises(ValueError, match=r"'a.png' occurs twice"):
        fingerprint_images([("a.png", data), ("a.png", data)])
    with pytest.raises(ValueError, match=r"'a' occurs twice"):
        fingerprint_images([("a", b""), ("b", data), ("a", b"")])


def test_an_error_of_the_stream_is_raised():
    def give_images():
        yield "a.png", encode_image(make_texture(0))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        fingerprint_images(give_images())
