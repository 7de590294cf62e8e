"""Data sets: where images and labels come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dap_core.datasets.image_folder import read_image_folder
from dap_core.datasets.image_list import read_csv_list, read_image_files
from dap_core.datasets.source import Source, is_image_name
from dap_core.errors import DestinationError, SourceError

__all__ = ["Source", "open_source", "read_csv_list", "read_image_files", "read_image_folder"]


def open_source(paths: Sequence[Path], labels: Sequence[str] = (), *, destination: Path | None = None) -> Source:
    """The images and labels that `paths` stand for: one folder, one CSV file, or image files with `labels`.

    Raises SourceError for anything else, or when labels are missing or given twice, and DestinationError
    when `destination` lies in the folder, where the next run would take it for input.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SourceError(f"there is no {', '.join(missing[:3])}")
    if len(paths) == 1 and paths[0].is_dir():
        if destination is not None and destination.resolve().is_relative_to(paths[0].resolve()):
            raise DestinationError(f"the destination {destination} lies inside the source {paths[0]}; give one outside")
        return read_image_folder(paths[0], labels)
    if len(paths) == 1 and paths[0].suffix.lower() == ".csv":
        if labels:
            raise SourceError(f"{paths[0]} gives its own labels; leave out --label")
        return read_csv_list(paths[0])
    odd = next((path for path in paths if path.is_dir() or not is_image_name(path.name)), None)
    if odd is not None:
        raise SourceError(f"{odd} is no image file; give one folder, one CSV file, or image files")
    if not labels:
        raise SourceError("image files need labels: give --label wnid, name, index or auto")
    return read_image_files(paths, labels)
