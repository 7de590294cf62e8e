"""JPEG: what its markers say before anything is decoded, and the decoding.

Markers are found as the decoder finds them, so that what is checked here is what it would meet. Entropy-coded
data is never walked byte by byte, and not looked at in a file that can only have one scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import cv2

from dap_core.errors import ImageError
from dap_core.images.decoders import RgbPixels, decode_with_opencv
from dap_core.images.exif import read_orientation
from dap_core.images.limits import MAX_BLOCKS
from dap_core.images.refusals import damaged, ends_early

_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_MARKER_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed byte, nor a restart, nor a fill byte
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_BETWEEN_SCANS = frozenset({_SOS, 0xC4, 0xCC, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE})
_UNSUPPORTED = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE), "hierarchical coding"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetic coding"),
    0xC3: "lossless coding",
    0xCB: "lossless arithmetic coding",
    0xC8: "a reserved coding",
    0xF7: "JPEG-LS coding",
}


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG file whose header has been read."""

    data: bytes
    size_wh: tuple[int, int]
    orientation: int
    first_scan: int
    """Where the header of the first scan starts; what follows it has not been looked at."""
    has_more_scans: bool
    """Whether the decoder would go on after the first scan."""

    def check_scans(self, max_scans: int) -> None:
        """Raises ImageError when there are more scans than that."""
        if not self.has_more_scans or self.data.count(b"\xff\xda", self.first_scan) <= max_scans:
            return
        if _has_more_scans_than(max_scans, self.data, self.first_scan):
            raise ImageError(
                "too-many-scans",
                f"the JPEG has more than {max_scans} scans; at most {max_scans} are decoded: save it again, as "
                "baseline or with the usual progressive scans",
            )

    def decode(self) -> RgbPixels:
        """The pixels as stored, not turned.

        Without an end marker the decoder may still give pixels, and of a file whose rest is zeros it makes them up.
        """
        pixels = decode_with_opencv(self.data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION, "JPEG")
        if pixels is not None and self.data.find(b"\xff\xd9", self.first_scan) >= 0:
            return pixels
        if self.data.rstrip(b"\x00").endswith(b"\xff\xd9"):
            raise damaged("the JPEG data is corrupt")
        raise ends_early(self.data, "JPEG data")


def read_jpeg(data: bytes) -> Jpeg:
    """The header of a JPEG file, up to its first scan.

    Raises ImageError: `unsupported-jpeg-feature` for what is neither Huffman-coded baseline, extended nor
    progressive with 8 bits and 1, 3 or 4 colour components; `truncated-image`; `undecodable-image`.
    """
    frame: _Frame | None = None
    orientation = 0
    for marker, start, end in _segments(data):
        if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE):
            if frame:
                raise damaged("the JPEG has two frame headers")
            frame = _read_frame(data[start:end], marker)
        elif marker in _UNSUPPORTED:
            raise _unsupported(_UNSUPPORTED[marker])
        elif marker == _APP1 and not orientation and data.startswith(b"Exif\0\0", start):
            orientation = read_orientation(data[start:end])
        elif marker == _SOS:
            if not frame or end == start:
                raise damaged("the JPEG has no frame header before its pixels")
            has_more_scans = frame.is_progressive or data[start] < frame.num_components
            return Jpeg(data, frame.size_wh, orientation or 1, start - 4, has_more_scans)
    raise damaged("the JPEG has no pixels")


@dataclass(frozen=True, slots=True)
class _Frame:
    size_wh: tuple[int, int]
    num_components: int
    is_progressive: bool


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's content, until the file's pixels have been passed."""
    position = 2
    for _ in range(MAX_BLOCKS):
        found = _MARKER.search(data, position)
        if found is None:
            raise ends_early(data, "JPEG header")
        position = found.end()
        marker = data[position - 1]
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in (_SOI, _EOI):
            return
        start = position + 2
        position += max(2, int.from_bytes(data[position:start], "big"))
        if position > len(data):
            raise ends_early(data, "JPEG header")
        yield marker, start, position
    raise damaged(f"the JPEG has more than {MAX_BLOCKS:,} segments before its pixels")


def _read_frame(content: bytes, marker: int) -> _Frame:
    if len(content) < 6 or len(content) != 6 + 3 * content[5]:
        raise damaged("the JPEG frame header has a wrong length")
    if content[0] != 8:
        raise _unsupported(f"{content[0]}-bit samples")
    if content[5] not in (1, 3, 4):
        raise _unsupported(f"{content[5]} colour components")
    width, height = int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big")
    return _Frame((width, height), content[5], marker == _PROGRESSIVE)


def _unsupported(feature: str) -> ImageError:
    return ImageError(
        "unsupported-jpeg-feature",
        f"the JPEG uses {feature}; supported are Huffman-coded baseline and progressive files of 8 bits with "
        "1, 3 or 4 colour components: save it again as one of these",
    )


def _has_more_scans_than(limit: int, data: bytes, position: int) -> bool:
    scans = 0
    for _ in range(MAX_BLOCKS):
        found = _MARKER_IN_SCAN.search(data, position)
        if found is None or data[found.end() - 1] == _EOI:
            return False
        position = found.end()
        marker = data[position - 1]
        scans += marker == _SOS
        if scans > limit:
            return True
        if marker in _BETWEEN_SCANS:
            position += int.from_bytes(data[position : position + 2], "big")
    raise damaged(f"the JPEG has more than {MAX_BLOCKS:,} segments between its scans")
