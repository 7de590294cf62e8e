"""PNG: its chunks are walked and only those that hold pixels are decoded; text, profiles and frames are left out."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from dap_core.images.decoders import RgbPixels, decode_with_pillow, flatten_to_rgb, row_strips
from dap_core.images.exif import read_orientation
from dap_core.images.limits import MAX_BLOCKS
from dap_core.images.refusals import damaged, ends_early

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


@dataclass(frozen=True, slots=True)
class Png:
    """A PNG file whose chunks have been found."""

    data: bytes
    size_wh: tuple[int, int]
    bit_depth: int
    orientation: int
    kept: tuple[slice, ...]
    """Where the chunks are that hold pixels."""

    def decode(self) -> RgbPixels:
        """The pixels as stored, not turned."""
        return decode_with_pillow("PNG", self._decode)

    def _decode(self) -> RgbPixels:
        image = self._open()
        transparent = image.info.get("transparency")
        if self.bit_depth == 16 and isinstance(transparent, tuple):
            return self._decode_16_bit_colour(transparent)
        if image.mode == "L" and isinstance(transparent, int):  # PIL scales samples of 2 and 4 bits, but not this one
            levels = 2**self.bit_depth
            image.info["transparency"] = transparent % levels * 255 // (levels - 1)
        return flatten_to_rgb(image)

    def _decode_16_bit_colour(self, transparent: tuple[int, ...]) -> RgbPixels:
        """High bytes, white where all 16 bits of a pixel are those of the transparent colour."""
        pixels, low_bytes = self._decode_bytes("RGB;16B"), self._decode_bytes("RGB;16L")
        colour = np.array(transparent)
        for strip in row_strips(*self.size_wh):
            found = (pixels[strip] == colour >> 8) & (low_bytes[strip] == colour & 0xFF)
            pixels[strip][found.all(axis=2)] = 255
        return pixels

    def _decode_bytes(self, raw_mode: str) -> RgbPixels:
        image = self._open()
        del image.info["transparency"]
        image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
        return flatten_to_rgb(image)

    def _open(self) -> PngImageFile:
        view = memoryview(self.data)
        return PngImageFile(io.BytesIO(b"".join([SIGNATURE, *(view[part] for part in self.kept)])))


def read_png(data: bytes) -> Png:
    """The header of a PNG file and the places of its pixels.

    Raises ImageError: `truncated-image`, `undecodable-image`, the latter also when a checksum is wrong.
    """
    if data[12:16] != b"IHDR":
        raise damaged("the PNG does not start with its header") if len(data) > 15 else ends_early(data, "PNG")
    view = memoryview(data)
    kept: list[slice] = []
    orientation = 1
    for kind, start, end in _chunks(data):
        if kind == b"eXIf":
            orientation = read_orientation(view[start + 8 : end - 4])
        elif kind in _PIXEL_CHUNKS:
            if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                raise damaged(f"the checksum of a {kind.decode()} chunk of the PNG is wrong")
            if kept and kept[-1].stop == start:
                kept[-1] = slice(kept[-1].start, end)
            else:
                kept.append(slice(start, end))
    size_wh = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return Png(data, size_wh, data[24], orientation, tuple(kept))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk, up to and with the last."""
    start = len(SIGNATURE)
    for number in range(MAX_BLOCKS):
        kind = data[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if len(kind) < 4 or end > len(data):
            raise ends_early(data, "PNG")
        if not kind.isalpha() or (kind == b"IHDR") != (number == 0):
            raise damaged("the chunks of the PNG are out of order")
        yield kind, start, end
        if kind == b"IEND":
            return
        start = end
    raise damaged(f"the PNG has more than {MAX_BLOCKS:,} chunks")
