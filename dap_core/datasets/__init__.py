"""Data sets: where images, labels and drawn boxes come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dap_core.datasets.annotated_source import annotations_to_source
from dap_core.datasets.annotation_files import READERS, check_readable, holds_annotations, read_annotations
from dap_core.datasets.annotations import AnnotatedImage, Annotations, Problem
from dap_core.datasets.image_folder import read_image_folder, read_image_objects
from dap_core.datasets.image_list import read_csv_list, read_image_files
from dap_core.datasets.source import Source, is_image_name
from dap_core.errors import DestinationError, SourceError

__all__ = [
    "READERS",
    "AnnotatedImage",
    "Annotations",
    "Problem",
    "Source",
    "annotations_to_source",
    "open_source",
    "read_annotations",
    "read_csv_list",
    "read_image_files",
    "read_image_folder",
    "read_image_objects",
]


def open_source(
    paths: Sequence[Path],
    labels: Sequence[str] = (),
    *,
    destination: Path | None = None,
    label_map: Mapping[str, str] | None = None,
) -> Source:
    """The images and labels that `paths` stand for.

    They are one folder, one CSV file, image files with `labels`, or annotations in a format of `READERS`, whose
    classes `label_map` renames. A folder that holds annotations is read by them unless `labels` are given.

    Raises SourceError for anything else, or when labels are missing or given twice, and DestinationError
    when `destination` lies in the folder, where the next run would take it for input.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SourceError(f"there is no {', '.join(missing[:3])}")
    if len(paths) == 1 and paths[0].is_dir():
        if destination is not None and destination.resolve().is_relative_to(paths[0].resolve()):
            raise DestinationError(f"the destination {destination} lies inside the source {paths[0]}; give one outside")
        if labels:
            return read_image_folder(paths[0], labels)
    if len(paths) == 1 and holds_annotations(paths[0]):
        if labels:
            raise SourceError(f"{paths[0]} gives its own labels; leave out --label")
        return annotations_to_source(read_annotations(paths[0]), label_map=label_map)
    if label_map:
        raise SourceError(f"only classes of annotations can be renamed, and {paths[0]} holds none; leave out --map")
    return _open_images(paths, labels)


def _open_images(paths: Sequence[Path], labels: Sequence[str]) -> Source:
    if len(paths) == 1 and paths[0].is_dir():
        return read_image_folder(paths[0], labels)
    if len(paths) == 1 and paths[0].suffix.lower() == ".csv":
        if labels:
            raise SourceError(f"{paths[0]} gives its own labels; leave out --label")
        return read_csv_list(paths[0])
    odd = next((path for path in paths if path.is_dir() or not is_image_name(path.name)), None)
    if odd is not None:
        check_readable(odd)
        raise SourceError(f"{odd} is no image file; give one folder, one CSV file, annotations, or image files")
    if not labels:
        raise SourceError("image files need labels: give --label wnid, name, index or auto")
    return read_image_files(paths, labels)
