"""WebP: the first frame alone, as a still picture, without profiles and metadata."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dap_core.images.decoders import RgbPixels, composite_on_white, decode_with_opencv
from dap_core.images.exif import read_orientation
from dap_core.images.limits import MAX_BLOCKS
from dap_core.images.refusals import damaged, ends_early

_ANIMATION, _ALPHA, _EXIF = 0x02, 0x10, 0x08
_NAMES = (b"VP8X", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF")
_Chunks = dict[bytes, memoryview]  # the first of each of these names


@dataclass(frozen=True, slots=True)
class WebpFrame:
    """One frame of a WebP file and where it lies on the canvas."""

    chunks: tuple[tuple[bytes, memoryview], ...]
    size_wh: tuple[int, int]
    has_alpha: bool
    left_top: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Webp:
    """A WebP file whose header has been read."""

    size_wh: tuple[int, int]
    orientation: int
    frame: WebpFrame

    def decode(self) -> RgbPixels:
        """The pixels of the first frame on a white canvas, not turned."""
        flags = cv2.IMREAD_UNCHANGED if self.frame.has_alpha else cv2.IMREAD_COLOR_RGB
        pixels = decode_with_opencv(_write_still(self.frame), flags, "WebP")
        if pixels is None or pixels.shape[:2] != self.frame.size_wh[::-1]:
            raise damaged("the WebP data is corrupt")
        if self.frame.has_alpha:
            pixels = composite_on_white(pixels)
        if self.frame.size_wh == self.size_wh:
            return pixels
        left, top = self.frame.left_top
        canvas = np.full((*self.size_wh[::-1], 3), 255, np.uint8)
        canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return canvas


def read_webp(data: bytes) -> Webp:
    """The header of a WebP file.

    Raises ImageError: `truncated-image`, `undecodable-image`.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ends_early(data, "WebP")
    chunks = _read_chunks(memoryview(data)[12:end])
    header = chunks.get(b"VP8X", memoryview(b""))
    if not header:
        frame = _read_frame(chunks)
        return Webp(frame.size_wh, 1, frame)
    if len(header) < 10:
        raise damaged("the WebP header is too short")
    frame = _read_animation(chunks) if header[0] & _ANIMATION else _read_frame(chunks)
    size_wh = _read_u24(header, 4) + 1, _read_u24(header, 7) + 1
    _check_place(frame, size_wh, is_still=not header[0] & _ANIMATION)
    orientation = read_orientation(chunks.get(b"EXIF", b"")) if header[0] & _EXIF else 1
    return Webp(size_wh, orientation, frame)


def _read_chunks(content: memoryview) -> _Chunks:
    chunks: _Chunks = {}
    position = 0
    for _ in range(MAX_BLOCKS):
        if position + 8 > len(content):
            return chunks
        end = position + 8 + int.from_bytes(content[position + 4 : position + 8], "little")
        if end > len(content):
            raise damaged("a chunk of the WebP is longer than the file")
        name = bytes(content[position : position + 4])
        if name in _NAMES:
            chunks.setdefault(name, content[position + 8 : end])
        position = end + end % 2
    raise damaged(f"the WebP has more than {MAX_BLOCKS:,} chunks")


def _read_animation(chunks: _Chunks) -> WebpFrame:
    content = chunks.get(b"ANMF", memoryview(b""))
    if len(content) < 16:
        raise damaged("the animated WebP has no frame")
    left_top = 2 * _read_u24(content, 0), 2 * _read_u24(content, 3)
    frame = _read_frame(_read_chunks(content[16:]))
    if frame.size_wh != (_read_u24(content, 6) + 1, _read_u24(content, 9) + 1):
        raise damaged("the first frame of the WebP has two sizes")
    return WebpFrame(frame.chunks, frame.size_wh, frame.has_alpha, left_top)


def _read_frame(chunks: _Chunks) -> WebpFrame:
    if b"VP8L" in chunks:
        content = chunks[b"VP8L"]
        bits = int.from_bytes(content[1:5], "little")
        if len(content) < 5 or content[0] != 0x2F:
            raise damaged("the header of the lossless WebP is damaged")
        size_wh = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return WebpFrame(((b"VP8L", content),), size_wh, bool(bits >> 28 & 1))
    content = chunks.get(b"VP8 ", memoryview(b""))
    if len(content) < 10 or content[0] & 1 or bytes(content[3:6]) != b"\x9d\x01\x2a":
        raise damaged("the header of the WebP frame is missing or damaged")
    size_wh = (int.from_bytes(content[6:8], "little") & 0x3FFF, int.from_bytes(content[8:10], "little") & 0x3FFF)
    picture = ((b"VP8 ", content),)
    if b"ALPH" not in chunks:
        return WebpFrame(picture, size_wh, has_alpha=False)
    return WebpFrame(((b"ALPH", chunks[b"ALPH"]), *picture), size_wh, has_alpha=True)


def _check_place(frame: WebpFrame, size_wh: tuple[int, int], *, is_still: bool) -> None:
    right_bottom = tuple(start + side for start, side in zip(frame.left_top, frame.size_wh, strict=True))
    if right_bottom[0] > size_wh[0] or right_bottom[1] > size_wh[1] or (is_still and right_bottom != size_wh):
        raise damaged("the frame of the WebP does not fit its canvas")


def _write_still(frame: WebpFrame) -> bytes:
    """A WebP file of this frame and nothing else."""
    parts: list[bytes | memoryview] = [b"WEBP"]
    if len(frame.chunks) > 1:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in frame.size_wh)
        parts += [b"VP8X", (10).to_bytes(4, "little"), bytes([_ALPHA, 0, 0, 0]), sides]
    for name, content in frame.chunks:
        parts += [name, len(content).to_bytes(4, "little"), content, b"\0" * (len(content) % 2)]
    return b"".join([b"RIFF", sum(map(len, parts)).to_bytes(4, "little"), *parts])


def _read_u24(content: memoryview, at: int) -> int:
    return int.from_bytes(content[at : at + 3], "little")
