"""Places that commands read and write: local paths and object stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dap_core.datasets import LabelRule, Source, TableLabels
    from dap_core.label_sets import LabelSet


def open_label_set_at(place: str, *, allow_partial: bool = False) -> LabelSet:
    """The label set at a local path or `s3://bucket/prefix`. Raises LabelSetError, StoreError."""
    from dap_core.label_sets import open_label_set
    from services.storage import open_store

    return open_label_set(open_store(place), allow_partial=allow_partial, open_source=open_store)


def open_source_at(
    places: Sequence[str],
    labels: Sequence[str] = (),
    *,
    rule: LabelRule | None = None,
    destination: str | None = None,
    label_map: Mapping[str, str] | None = None,
) -> Source:
    """The images and labels at local paths, or below one `s3://bucket/prefix` by `rule`, `labels` or first folder.

    Raises SourceError, DestinationError, StoreError.
    """
    from dap_core.datasets import FolderLabels, SameLabels, open_source, read_image_objects
    from dap_core.errors import SourceError
    from services.storage import is_remote, open_store

    if not any(map(is_remote, places)):
        paths = [Path(place) for place in places]
        outside = local_path(destination) if destination else None
        return open_source(paths, labels, rule=rule, destination=outside, label_map=label_map)
    if len(places) > 1:
        raise SourceError("an object store is the only source of a run; give one s3://bucket/prefix")
    if label_map:
        raise SourceError("only classes of annotations can be renamed, and of a bucket only images are read")
    store = open_store(places[0])
    if destination:
        refuse_inside(destination, store.uri)
    return read_image_objects(store, rule or (SameLabels(tuple(labels)) if labels else FolderLabels()))


def read_label_table(place: str) -> TableLabels:
    """The labels of a CSV or Parquet file at a local path or in an object store. Raises SourceError, StoreError."""
    from dap_core.datasets import TableLabels

    return TableLabels.from_bytes(_read_object(place), place)


def _read_object(place: str) -> bytes:
    from dap_core.errors import ObjectMissingError, SourceError
    from services.storage import is_remote, open_store

    try:
        if not is_remote(place):
            return Path(place).read_bytes()
        folder, _, name = place.rpartition("/")
        if folder.count("/") < 2 or not name:
            raise SourceError(f"expected a local file or s3://bucket/key, got {place}")
        return open_store(folder).get(name)
    except (OSError, ObjectMissingError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"the label table {place} cannot be read: {reason}") from error


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
