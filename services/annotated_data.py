"""Images with drawn boxes at the places that a job names: local paths or an object store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dap_core.datasets import (
    Annotations,
    Shots,
    read_annotations,
    read_shots,
    read_voc_years,
    sample_shots,
    select_shots,
)
from dap_core.datasets.selections import drop_images, hash_annotations, keep_images, rename_classes
from dap_core.datasets.source import is_image_name
from dap_core.errors import ObjectMissingError, SourceError
from dap_core.stores import LocalStore, Store
from services.jobs.specs import DataFields
from services.storage import is_remote, open_store

_FILE_SUFFIXES = (".json", ".csv", ".xml", ".yaml", ".yml", ".parquet")
_IMAGE_FOLDERS = ("", "images", "JPEGImages", "train2017", "val2017", "test2017")
"""Where images lie beside annotations in a bucket; those of a VOCdevkit are named in full."""


@dataclass(frozen=True, slots=True)
class AnnotatedData:
    """Images with drawn boxes, ready to be used."""

    store: Store
    """What the keys of the images are relative to."""
    annotations: Annotations
    """Of the images that were asked for."""
    identity: str
    """sha256 of keys, boxes and classes."""
    warnings: tuple[str, ...]
    """What is odd, one sentence each."""
    shots: Shots | None = None
    """What was drawn, when only some images of each class were asked for."""


def open_annotated(fields: DataFields) -> AnnotatedData:
    """The images and boxes that a job asks for. Raises SourceError, StoreError, ValueError."""
    with _at_hand(fields.data) as folder:
        found = _read(folder, fields)
    store = _open_images(fields, found)
    chosen = rename_classes(found, fields.class_map) if fields.class_map else found
    if fields.images_from:
        chosen = _choose_listed(chosen, fields.images_from)
    if fields.leave_out:
        chosen = drop_images(chosen, read_keys(fields.leave_out))
    shots = None
    if fields.shots is not None:
        shots = sample_shots(chosen, fields.shots, seed=fields.shot_seed)
        chosen = select_shots(chosen, shots)
    if not chosen.images:
        raise SourceError(f"{fields.data} has no image left to use; look at the split and the lists of images")
    return AnnotatedData(store, chosen, hash_annotations(chosen), tuple(_list_warnings(found)), shots)


@contextmanager
def _at_hand(place: str) -> Iterator[Path]:
    """Annotations as local files; of a bucket, all that are no images are fetched."""
    if not is_remote(place):
        yield Path(place)
        return
    parent, name = _split_remote(place)
    store = open_store(parent)
    with tempfile.TemporaryDirectory(prefix="dap-annotations-") as folder:
        local = LocalStore(folder)
        keys = [name] if name else [info.key for info in store.list_objects() if not is_image_name(info.key)]
        for key in keys:
            local.put(key, store.get(key))
        yield Path(folder) / name


def _split_remote(place: str) -> tuple[str, str]:
    """Prefix and name of an annotation file in a bucket; the name is empty where a place is a prefix."""
    parent, _, name = place.rstrip("/").rpartition("/")
    is_file = parent.count("/") >= 2 and PurePosixPath(name).suffix.lower() in _FILE_SUFFIXES
    return (parent, name) if is_file else (place.rstrip("/"), "")


def _read(path: Path, fields: DataFields) -> Annotations:
    if fields.years:
        return read_voc_years(path, years=fields.years, image_set=fields.split or "trainval")
    options: dict[str, Any] = {
        "split": fields.split,
        "inclusive": fields.inclusive or None,
        "image_root": Path(fields.image_root) if fields.image_root and not is_remote(fields.image_root) else None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return read_annotations(path, fields.data_format, **given)


def _open_images(fields: DataFields, annotations: Annotations) -> Store:
    if fields.image_root:
        return open_store(fields.image_root)
    if not is_remote(fields.data):
        root = annotations.image_root
        if root is None:
            raise SourceError(f"the images of {fields.data} were not found beside it; say where they are (image_root)")
        return LocalStore(root)
    return _find_images(fields.data, annotations)


def _find_images(place: str, annotations: Annotations) -> Store:
    """The folder of a bucket that holds the first image."""
    top, _ = _split_remote(place)
    for base in dict.fromkeys((top, top.removesuffix("/annotations"), top.removesuffix("/Annotations"))):
        for folder in _IMAGE_FOLDERS:
            store = open_store(f"{base}/{folder}".rstrip("/"))
            key = annotations.images[0].key if annotations.images else ""
            if key and next((info for info in store.list_objects(key) if info.key == key), None):
                return store
    raise SourceError(f"the images of {place} were not found beside it; say where they are (image_root)")


def _choose_listed(annotations: Annotations, place: str) -> Annotations:
    if not place.endswith(".json"):
        return keep_images(annotations, read_keys(place))
    folder, name = _split_place(place)
    return select_shots(annotations, read_shots(open_store(folder), name))


def read_keys(place: str) -> list[str]:
    """The lines of a text file of image keys. Raises SourceError, StoreError."""
    folder, name = _split_place(place)
    try:
        text = open_store(folder).get(name).decode("utf-8-sig")
    except (ObjectMissingError, UnicodeDecodeError) as error:
        raise SourceError(f"the list of images {place} cannot be read: {error}") from error
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys:
        raise SourceError(f"the list of images {place} is empty; expected one key a line")
    return keys


def _split_place(place: str) -> tuple[str, str]:
    if is_remote(place):
        folder, _, name = place.rpartition("/")
        return folder, name
    path = Path(place).absolute()
    return str(path.parent), path.name


def _list_warnings(annotations: Annotations) -> list[str]:
    if not annotations.problems:
        return []
    first = annotations.problems[0]
    return [f"{len(annotations.problems)} problems in the annotations, such as {first.where}: {first.message}"]
