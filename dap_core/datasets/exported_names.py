"""`names.csv` of an export: the keys of the images that could not keep theirs as file name."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from dap_core.datasets.fields import FieldError
from dap_core.datasets.image_roots import is_file
from dap_core.datasets.source import is_image_name

NAMES_FILE = "names.csv"
NAMES_HEADER = ("name", "key")


def read_exported_names(folder: Path, report: Callable[[str, str], None]) -> dict[str, str]:
    """Keys by file name, of `names.csv` in `folder` or above its `Annotations`; empty when there is none.

    `report` hears of lines that cannot be used. A file with another header is none of ours.
    """
    places = [folder, folder.parent] if folder.name == "Annotations" else [folder]
    file = next((place / NAMES_FILE for place in places if is_file(place / NAMES_FILE)), None)
    if file is None:
        return {}
    try:
        with file.open(encoding="utf-8", newline="") as text:
            lines = list(csv.reader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        report(NAMES_FILE, f"cannot be read, so names of images are taken as they are: {error}")
        return {}
    if not lines or tuple(lines[0]) != NAMES_HEADER:
        return {}
    keys: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(NAMES_HEADER) or line[0] in keys:
            report(f"{NAMES_FILE} line {number}", f"expected a name not listed before and its key, got {line!r:.80}")
        else:
            keys[line[0]] = line[1]
    return keys


class OriginalImages:
    """The images that an export was made of, found by the names it uses, without their suffix."""

    def __init__(self, root: Path, names: Mapping[str, str]) -> None:
        """Takes the folder that keys are relative to, and the keys of `names.csv` by name."""
        self._root = root
        self._names = names
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def find_key(self, stem: str) -> str:
        """The key of the one image that the export calls `stem`; raises FieldError when there is none, or several."""
        key = self._keys_by_stem.get(stem)
        keys = self._list_by_stem(stem) if key is None else [key] if is_file(self._root / key) else []
        if len(keys) != 1:
            listed = f"several images of this name: {', '.join(sorted(keys))}" if keys else "no image of this name"
            raise FieldError(f"{self._root} has {listed}")
        return keys[0]

    @cached_property
    def _keys_by_stem(self) -> dict[str, str]:
        return {str(PurePosixPath(name).with_suffix("")): key for name, key in self._names.items()}

    @cached_property
    def _renamed(self) -> frozenset[str]:
        return frozenset(self._names.values())

    def _list_by_stem(self, stem: str) -> list[str]:
        """Keys of this stem that the export did not rename."""
        folder = PurePosixPath(stem).parent
        if self._root / folder not in self._listed:
            self._listed[self._root / folder] = self._list_folder(folder)
        return self._listed[self._root / folder].get(stem, [])

    def _list_folder(self, folder: PurePosixPath) -> dict[str, list[str]]:
        keys: dict[str, list[str]] = defaultdict(list)
        try:
            names = [file.name for file in (self._root / folder).iterdir()]
        except (OSError, ValueError):
            return keys
        for key in (str(folder / name) for name in names if is_image_name(name)):
            if key not in self._renamed:
                keys[str(PurePosixPath(key).with_suffix(""))].append(key)
        return keys
