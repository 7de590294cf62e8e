"""The one fact of an EXIF block that is used: which way up the image is."""

from __future__ import annotations

from typing import Literal

_ByteOrder = Literal["little", "big"]
_BYTE_ORDERS: dict[bytes, _ByteOrder] = {b"II*\x00": "little", b"MM\x00*": "big"}
_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4


def read_orientation(exif: bytes | memoryview) -> int:
    """The orientation, 1 to 8, that an EXIF block names; 1 when it names none, an unknown one, or is broken.

    Nothing else of the block is read: neither its size nor what its tags claim costs time or memory.
    """
    tiff = memoryview(exif)
    if bytes(tiff[:6]) == b"Exif\0\0":
        tiff = tiff[6:]
    order = _BYTE_ORDERS.get(bytes(tiff[:4]))
    if order is None:
        return 1
    first = int.from_bytes(tiff[4:8], order)
    last = first + 2 + 12 * int.from_bytes(tiff[first : first + 2], order)
    for place in range(first + 2, min(last, len(tiff) - 11), 12):
        if int.from_bytes(tiff[place : place + 2], order) == _ORIENTATION:
            return _known_orientation(tiff[place + 2 : place + 12], order)
    return 1


def _known_orientation(entry: memoryview, order: _ByteOrder) -> int:
    kind, count = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:6], order)
    orientation = int.from_bytes(entry[6:8] if kind == _SHORT else entry[6:10], order)
    return orientation if kind in (_SHORT, _LONG) and count == 1 and 1 <= orientation <= 8 else 1
