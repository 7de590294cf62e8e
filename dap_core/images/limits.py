"""What is still taken as an image: the limits a caller chooses, and the one that guards every header."""

from __future__ import annotations

from dataclasses import dataclass

from dap_core.errors import ImageError

MAX_BLOCKS = 100_000
"""Segments, chunks or blocks of a file that are walked before it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What is still taken as an image; checked from the header, before any pixel is decoded."""

    max_pixels: int = 50_000_000
    """Width times height."""
    min_side: int = 16
    """Shorter side in pixels."""
    max_aspect_ratio: float = 20.0
    """Longer side over shorter side."""
    max_scans: int = 100
    """Scans of a JPEG, each of which costs a pass over the whole image; usual progressive files have about 10."""

    def check(self, width: int, height: int) -> None:
        """Raises ImageError when an image of this size is refused."""
        size = f"{width}x{height} pixels"
        if width < 1 or height < 1:
            raise ImageError("undecodable-image", f"the header says {size}")
        if width * height > self.max_pixels:
            raise ImageError("image-too-many-pixels", f"{size} are more than the limit of {self.max_pixels:,}")
        if min(width, height) < self.min_side:
            raise ImageError("image-too-small", f"{size}; the shorter side must have at least {self.min_side}")
        if max(width, height) > self.max_aspect_ratio * min(width, height):
            raise ImageError(
                "aspect-ratio-too-large", f"{size}; the longer side may be {self.max_aspect_ratio:g} times the shorter"
            )
