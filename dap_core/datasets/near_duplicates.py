"""Images that occur in two sets, perhaps resized, recompressed or mirrored: fingerprints and the pairs among them.

Two images count as one when at most 56 of their 255 bits differ. Measured: copies of 483 photographs with 64 or 96
pixels, JPEG quality 30 to 75, mirrored or not, whole or the square in the middle, differ in at most 19 bits, and when
shrunk without smoothing in at most 65 (one of 483 beyond 56); the nearest of 81 million pairs of different photographs
differ in 70. Of copies cut otherwise, those without 2% of each side are all found, without 10% 8 of 100.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dap_core.errors import ImageError
from dap_core.images import ImageLimits, decode_image
from dap_core.images.fingerprints import (
    NUM_BITS,
    Fingerprint,
    compute_fingerprint,
    measure_distances,
    unpack_bits,
)
from dap_core.label_sets import Failure
from dap_core.pipelines import run_lanes

MAX_DISTANCE = 56
"""Bits of 255 in which copies of one photograph may differ."""
_WINDOW = 16
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """An image of a first set and one of a second that look alike, and the bits in which they differ."""

    first_key: str
    second_key: str
    distance: int


@dataclass(frozen=True, slots=True)
class FingerprintedImages:
    """Fingerprints by key in the order of the images, and the images that could not be decoded."""

    fingerprints: Mapping[str, Fingerprint]
    failures: tuple[Failure, ...]

    @property
    def flat_keys(self) -> tuple[str, ...]:
        """The images with too little contrast to be found again: a check for duplicates says nothing about them."""
        return tuple(key for key, one in self.fingerprints.items() if one.is_flat)


def fingerprint_images(
    images: Iterable[tuple[str, bytes]], *, num_threads: int = 2, limits: ImageLimits | None = None
) -> FingerprintedImages:
    """The fingerprints of encoded images (key, bytes), which may be a stream: few of them are held at a time.

    An image that cannot be decoded or is outside `limits` is a failure, and the others go on. Raises ValueError when a
    key occurs twice, and whatever the stream raises.
    """

    def work(window: list[tuple[str, bytes]]) -> list[tuple[str, Fingerprint | Failure]]:
        return [(key, _fingerprint_one(key, data, limits)) for key, data in window]

    found: dict[str, Fingerprint | Failure] = {}
    for key, one in run_lanes(images, work, window=_WINDOW, num_lanes=num_threads):
        if key in found:
            raise ValueError(f"every image needs a key of its own; {key!r} occurs twice")
        found[key] = one
    return FingerprintedImages(
        {key: one for key, one in found.items() if isinstance(one, Fingerprint)},
        tuple(one for one in found.values() if isinstance(one, Failure)),
    )


def find_near_duplicates(
    first: Mapping[str, Fingerprint], second: Mapping[str, Fingerprint], *, max_distance: int = MAX_DISTANCE
) -> list[NearDuplicate]:
    r"""The pairs of an image of `first` and one of `second` that differ in at most `max_distance` bits.

    Each image and the square in its middle are compared, as they are and mirrored, and the nearest counts. Pairs come
    in the order of `first`, those of one image in the order of `second`. Flat images are in no pair, not even with
    themselves. A set compared with itself gives each image with itself and every other pair twice. Raises ValueError
    when `max_distance` is not one of 0 to 255.

    >>> one, other = Fingerprint(bytes(32)), Fingerprint(b"\x07" + bytes(31))
    >>> find_near_duplicates({"a.jpg": one}, {"b.jpg": other, "c.jpg": Fingerprint(b"\x0f" * 32)})
    [NearDuplicate(first_key='a.jpg', second_key='b.jpg', distance=3)]
    """
    if not 0 <= max_distance <= NUM_BITS:
        raise ValueError(f"max_distance must be 0 to {NUM_BITS} bits, got {max_distance}")
    first_views, second_views = _list_views(first), _list_views(second)
    nearest: dict[tuple[int, int], int] = {}
    for row, column, distance in _match_views(first_views.bits, second_views.bits, max_distance):
        pair = (first_views.owners[row], second_views.owners[column])
        nearest[pair] = min(distance, nearest.get(pair, distance))
    first_keys, second_keys = list(first), list(second)
    return [NearDuplicate(first_keys[i], second_keys[j], distance) for (i, j), distance in sorted(nearest.items())]


def _fingerprint_one(key: str, data: bytes, limits: ImageLimits | None) -> Fingerprint | Failure:
    try:
        return compute_fingerprint(decode_image(data, limits).pixels)
    except ImageError as error:
        return Failure(key, error.error_type, str(error))


class _Views(NamedTuple):
    """Bits of all views, and the position of the image that each is of."""

    owners: list[int]
    bits: list[bytes]


def _list_views(fingerprints: Mapping[str, Fingerprint]) -> _Views:
    views = [(owner, bits) for owner, one in enumerate(fingerprints.values()) for bits in one.views]
    return _Views([owner for owner, _ in views], [bits for _, bits in views])


def _match_views(first: list[bytes], second: list[bytes], max_distance: int) -> Iterator[tuple[int, int, int]]:
    """Position in `first`, position in `second`, and distance of each pair that is near, tile by tile."""
    for start in range(0, len(first), _CHUNK):
        signs = unpack_bits(first[start : start + _CHUNK])
        for offset in range(0, len(second), _CHUNK):
            distances = measure_distances(signs, unpack_bits(second[offset : offset + _CHUNK]))
            for row, column in np.argwhere(distances <= max_distance).tolist():
                yield start + row, offset + column, int(distances[row, column])
