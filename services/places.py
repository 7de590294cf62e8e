"""Places that jobs and commands read and write: local paths and object stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dap_core.errors import CheckpointError, DestinationError, ObjectMissingError
from dap_core.label_sets import LabelSet, open_label_set
from services.storage import is_remote, open_store

if TYPE_CHECKING:
    from dap_core.detectors import Checkpoint


def open_label_set_at(place: str, *, allow_partial: bool = False) -> LabelSet:
    """The label set at a local path or `s3://bucket/prefix`. Raises LabelSetError, StoreError."""
    return open_label_set(open_store(place), allow_partial=allow_partial, open_source=open_store)


def open_checkpoint_at(place: str) -> Checkpoint:
    """The detector stored in a local folder or below `s3://bucket/prefix`, such as where a training run wrote it.

    Raises CheckpointError when there is none or it is damaged, StoreError.
    """
    from dap_core.detectors import read_checkpoint  # here: most places hold none, and it needs torch

    try:
        return read_checkpoint(open_store(place), "")
    except ObjectMissingError as error:
        raise CheckpointError(
            f"{place} holds no detector: expected checkpoint.json and model.safetensors in it ({error}); "
            "give the folder that a finished training run wrote"
        ) from error


def refuse_inside(destination: str, place: str) -> None:
    """Raises DestinationError when a destination lies in an object store's prefix that is read."""
    if is_remote(place) and is_remote(destination) and f"{open_store(destination).uri}/".startswith(f"{place}/"):
        raise DestinationError(f"the destination {destination} lies inside {place}, which is read; give one outside")


def local_path(place: str) -> Path | None:
    """The path of a local place, None for an object store."""
    return None if is_remote(place) else Path(place)
