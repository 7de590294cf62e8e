"""Where the images of an annotation file are, and how large they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from dap_core.datasets.fields import FieldError

_EXIF_ORIENTATION = 0x0112


def find_image_root(candidates: Iterable[Path], keys: Iterable[str], *, num_tried: int = 20) -> Path | None:
    """The first folder that holds one of the first keys; None when no folder does."""
    tried = [key for _, key in zip(range(num_tried), keys, strict=False)]
    for folder in candidates:
        if any(is_file(folder / key) for key in tried):
            return folder
    return None


def is_file(path: Path) -> bool:
    """Whether a path is a file; one that no file system could hold is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_dir(path: Path) -> bool:
    """Whether a path is a folder; one that no file system could hold is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_upright_size(file: Path | IO[bytes]) -> tuple[int, int]:
    """Width and height of an image after its EXIF orientation, from the header alone.

    Raises FieldError when there is no image to be read.
    """
    name = file.name if isinstance(file, Path) else "in the row"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning about metadata does not change the size
        try:
            with Image.open(file) as image:
                width, height = image.size
                orientation = _read_orientation(image)
        except UnidentifiedImageError:
            raise FieldError(f"the image {name} is broken or none") from None
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise FieldError(f"the image {name} cannot be read: {error}") from error
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def _read_orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - PIL parses EXIF with code that can raise almost anything on broken tags
        return 1
