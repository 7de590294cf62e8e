"""GIF: the first frame, without the comments and extensions before it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import ClassVar

from PIL.GifImagePlugin import GifImageFile

from dap_core.images.decoders import RgbPixels, decode_with_pillow, flatten_to_rgb
from dap_core.images.limits import MAX_BLOCKS
from dap_core.images.refusals import damaged, ends_early

_BLOCK = re.compile(rb"[!,;]")
_GRAPHIC_CONTROL = 0xF9


@dataclass(frozen=True, slots=True)
class Gif:
    """A GIF file whose first frame has been found."""

    orientation: ClassVar[int] = 1
    data: bytes
    size_wh: tuple[int, int]
    kept: tuple[slice, ...]
    """Where the screen, the last graphic control and the first frame with all that follows are."""

    def decode(self) -> RgbPixels:
        """The pixels of the first frame on its canvas."""
        return decode_with_pillow("GIF", self._decode)

    def _decode(self) -> RgbPixels:
        view = memoryview(self.data)
        return flatten_to_rgb(GifImageFile(io.BytesIO(b"".join(view[part] for part in self.kept))))


def read_gif(data: bytes) -> Gif:
    """The header of a GIF file and the place of its first frame.

    The canvas grows to hold a frame that is larger. Raises ImageError: `truncated-image`, `undecodable-image`.
    """
    if len(data) < 13:
        raise ends_early(data, "GIF header")
    screen_end = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    control, frame = _find_frame(data, screen_end)
    left, top, width, height = (int.from_bytes(data[frame + at : frame + at + 2], "little") for at in (1, 3, 5, 7))
    screen_width, screen_height = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
    size_wh = max(screen_width, left + width), max(screen_height, top + height)
    return Gif(data, size_wh, (slice(screen_end), control, slice(frame, len(data))))


def _find_frame(data: bytes, position: int) -> tuple[slice, int]:
    """Where the last graphic control before the first frame is, and where that frame starts."""
    control = slice(0, 0)
    for _ in range(MAX_BLOCKS):
        found = _BLOCK.search(data, position)
        if found is None:
            break
        position = found.start()
        if found[0] == b"," and position + 10 < len(data):
            return control, position
        if found[0] != b"!" or position + 2 > len(data):
            break
        end = _skip_sub_blocks(data, position + 2)
        if data[position + 1] == _GRAPHIC_CONTROL:
            control = slice(position, end)
        position = end
    else:
        raise damaged(f"the GIF has more than {MAX_BLOCKS:,} extensions before its first frame")
    raise damaged("the GIF has no frame") if found and found[0] == b";" else ends_early(data, "GIF header")


def _skip_sub_blocks(data: bytes, position: int) -> int:
    for _ in range(MAX_BLOCKS):
        if position >= len(data):
            raise ends_early(data, "GIF header")
        length = data[position]
        position += 1 + length
        if not length:
            return position
    raise damaged(f"an extension of the GIF has more than {MAX_BLOCKS:,} blocks")
