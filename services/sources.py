"""Images with labels at the places that a job names: local paths or an object store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dap_core.datasets import (
    FolderLabels,
    LabelRule,
    PatternLabels,
    SameLabels,
    Source,
    TableLabels,
    open_source,
    read_image_objects,
)
from dap_core.errors import ObjectMissingError, SourceError
from services.jobs.specs import SourceFields
from services.places import local_path, refuse_inside
from services.storage import is_remote, open_store


@dataclass(frozen=True, slots=True)
class LabelledSource:
    """A source, and what is odd about its labels, one sentence each."""

    source: Source
    warnings: tuple[str, ...]


def open_labelled_source(fields: SourceFields, destination: str | None = None) -> LabelledSource:
    """The source that a job asks for. Raises SourceError, DestinationError, StoreError."""
    rule = _choose_rule(fields)
    found = open_source_at(fields.source, fields.labels, rule=rule, destination=destination, label_map=fields.label_map)
    return LabelledSource(found, tuple(_list_warnings(found, rule)))


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
    return TableLabels.from_bytes(_read_object(place), place)


def _read_object(place: str) -> bytes:
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


def _choose_rule(fields: SourceFields) -> LabelRule | None:
    """Where labels come from, None when the source or `labels` says so."""
    if fields.label_pattern is not None:
        return PatternLabels.from_text(fields.label_pattern)
    return read_label_table(fields.label_table) if fields.label_table is not None else None


def _list_warnings(found: Source, rule: LabelRule | None) -> list[str]:
    warnings = []
    if found.problems:
        first = found.problems[0]
        warnings.append(f"{len(found.problems)} problems in the annotations, such as {first.where}: {first.message}")
    if isinstance(rule, TableLabels) and (missing := rule.find_missing({row.key for row in found.rows})):
        warnings.append(
            f"no image in {found.store.uri} for {len(missing):,} of {len(rule.labels_by_key):,} keys of {rule.place}, "
            f"such as {missing[0]!r}; keys are relative to the source, as is {found.rows[0].key!r}"
        )
    return warnings
