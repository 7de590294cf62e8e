"""Places that commands read and write: local paths and object stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dap_core.datasets import Source
    from dap_core.label_sets import LabelSet


def open_label_set_at(place: str, *, allow_partial: bool = False) -> LabelSet:
    """The label set at a local path or `s3://bucket/prefix`. Raises LabelSetError, StoreError."""
    from dap_core.label_sets import open_label_set
    from services.storage import open_store

    return open_label_set(open_store(place), allow_partial=allow_partial, open_source=open_store)


def open_source_at(
    places: Sequence[str], labels: Sequence[str], *, destination: str, label_map: Mapping[str, str]
) -> Source:
    """The images and labels at local paths, or below one `s3://bucket/prefix` by their first folder or `labels`.

    Raises SourceError, DestinationError, StoreError.
    """
    from dap_core.datasets import open_source, read_image_objects
    from dap_core.errors import SourceError
    from services.storage import is_remote, open_store

    if not any(map(is_remote, places)):
        paths = [Path(place) for place in places]
        return open_source(paths, labels, destination=local_path(destination), label_map=label_map)
    if len(places) > 1:
        raise SourceError("an object store is the only source of a run; give one s3://bucket/prefix")
    if label_map:
        raise SourceError("only classes of annotations can be renamed, and a bucket is read by its folders")
    store = open_store(places[0])
    refuse_inside(destination, store.uri)
    return read_image_objects(store, labels)


def refuse_inside(destination: str, place: str) -> None:
    """Raises DestinationError when a destination lies in an object store's prefix that is read."""
    from dap_core.errors import DestinationError
    from services.storage import is_remote, open_store

    if is_remote(place) and is_remote(destination) and f"{open_store(destination).uri}/".startswith(f"{place}/"):
        raise DestinationError(f"the destination {destination} lies inside {place}, which is read; give one outside")


def local_path(place: str) -> Path | None:
    """The path of a local place, None for an object store."""
    from services.storage import is_remote

    return None if is_remote(place) else Path(place)
