"""Data sets: where images, labels and drawn boxes come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dap_core.datasets.annotated_source import annotations_to_source
from dap_core.datasets.annotation_files import READERS, check_readable, holds_annotations, read_annotations
from dap_core.datasets.annotations import AnnotatedImage, Annotations, Problem
from dap_core.datasets.few_shot import (
    PAPER_SHOTS,
    Counting,
    Shots,
    read_shots,
    sample_shots,
    select_shots,
    write_shots,
)
from dap_core.datasets.image_folder import read_image_folder, read_image_objects
from dap_core.datasets.image_list import read_csv_list, read_image_files
from dap_core.datasets.label_rules import FolderLabels, LabelRule, PatternLabels, SameLabels, TableLabels
from dap_core.datasets.source import Source, is_image_name
from dap_core.datasets.synthetic import make_synthetic_set
from dap_core.datasets.synthetic_classes import make_synthetic_classes
from dap_core.datasets.synthetic_scenes import Scene, SceneKind, render_scene
from dap_core.datasets.voc_years import read_voc_years
from dap_core.errors import DestinationError, SourceError

__all__ = [
    "PAPER_SHOTS",
    "READERS",
    "AnnotatedImage",
    "Annotations",
    "Counting",
    "FolderLabels",
    "LabelRule",
    "PatternLabels",
    "Problem",
    "SameLabels",
    "Scene",
    "SceneKind",
    "Shots",
    "Source",
    "TableLabels",
    "annotations_to_source",
    "make_synthetic_classes",
    "make_synthetic_set",
    "open_source",
    "read_annotations",
    "read_csv_list",
    "read_image_files",
    "read_image_folder",
    "read_image_objects",
    "read_shots",
    "read_voc_years",
    "render_scene",
    "sample_shots",
    "select_shots",
    "write_shots",
]


def open_source(
    paths: Sequence[Path],
    labels: Sequence[str] = (),
    *,
    rule: LabelRule | None = None,
    destination: Path | None = None,
    label_map: Mapping[str, str] | None = None,
) -> Source:
    """The images and labels that `paths` stand for.

    They are one folder, one CSV file, image files with `labels`, or annotations in a format of `READERS`, whose
    classes `label_map` renames. A folder that holds annotations is read by them unless `labels` are given, or a `rule`
    that says where the labels of its images come from.

    Raises SourceError for anything else, or when labels are missing or given twice, and DestinationError
    when `destination` lies in the folder, where the next run would take it for input.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SourceError(f"there is no {', '.join(missing[:3])}")
    if len(paths) == 1 and paths[0].is_dir():
        _check_outside(paths[0], destination)
        if labels or rule:
            return _read_folder(paths[0], labels, rule, label_map)
    if rule:
        raise SourceError(f"a label pattern or table is for one folder or bucket of images, got {paths[0]}")
    if len(paths) == 1 and holds_annotations(paths[0]):
        if labels:
            raise SourceError(f"{paths[0]} gives its own labels; leave out --label")
        return annotations_to_source(read_annotations(paths[0]), label_map=label_map)
    if label_map:
        raise SourceError(f"only classes of annotations can be renamed, and {paths[0]} holds none; leave out --map")
    return _open_images(paths, labels)


def _check_outside(root: Path, destination: Path | None) -> None:
    if destination is not None and destination.resolve().is_relative_to(root.resolve()):
        raise DestinationError(f"the destination {destination} lies inside the source {root}; give one outside")


def _read_folder(
    root: Path, labels: Sequence[str], rule: LabelRule | None, label_map: Mapping[str, str] | None
) -> Source:
    """The images of a folder with labels from elsewhere, whatever annotations it holds."""
    if labels and rule:
        raise ValueError("labels and a rule exclude each other; give one of them")
    if label_map:
        raise SourceError(
            f"only classes of annotations can be renamed, and labels of {root} are given; leave out --map"
        )
    return read_image_folder(root, rule or SameLabels(tuple(labels)))


def _open_images(paths: Sequence[Path], labels: Sequence[str]) -> Source:
    if len(paths) == 1 and paths[0].is_dir():
        return read_image_folder(paths[0])
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
