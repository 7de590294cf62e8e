"""A folder that is either written whole or empty."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dap_core.errors import DestinationError
from dap_core.label_sets import LabelSet

_UNFINISHED = ".unfinished"


@contextmanager
def open_destination(destination: Path, label_set: LabelSet) -> Iterator[Path]:
    """A folder to write into, whose content moves to `destination` at the end; after an error it is empty.

    What a killed export left in it is removed. Raises DestinationError when `destination` is no empty or new folder,
    lies inside the label set, or cannot be written.
    """
    label_set.check_outside(destination)
    try:
        if destination.exists() and (not destination.is_dir() or _holds_other_files(destination)):
            raise DestinationError(f"{destination} is not an empty folder; give another one")
        unfinished = destination / _UNFINISHED
        if unfinished.exists():
            shutil.rmtree(unfinished)
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


def _holds_other_files(folder: Path) -> bool:
    """Whether a folder holds more than what an export that was killed has left."""
    return any(item.name != _UNFINISHED for item in folder.iterdir())
