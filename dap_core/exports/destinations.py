"""A folder that is either written whole or empty."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dap_core.errors import DestinationError

_UNFINISHED = ".unfinished"


@contextmanager
def open_destination(destination: Path) -> Iterator[Path]:
    """A folder to write into, whose content moves to `destination` at the end; after an error it is empty.

    Raises DestinationError when `destination` is no empty or new folder, or cannot be written.
    """
    try:
        if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
            raise DestinationError(f"{destination} is not an empty folder; give another one")
        unfinished = destination / _UNFINISHED
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise DestinationError(f"{destination} cannot be written: {error.strerror or error}") from error
    try:
        yield unfinished
        for item in sorted(unfinished.iterdir()):
            item.rename(destination / item.name)
    except OSError as error:
        raise DestinationError(f"{destination} could not be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
