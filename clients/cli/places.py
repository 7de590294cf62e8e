"""Places as they are shown."""

from __future__ import annotations

from pathlib import Path


def shorten_place(place: str) -> str:
    """A local path below the current folder as seen from there."""
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else place
