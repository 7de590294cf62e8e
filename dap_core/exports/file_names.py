"""File names for keys: what a format allows, never the same twice."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from dap_core.datasets.exported_names import NAMES_FILE, NAMES_HEADER
from dap_core.errors import DestinationError
from dap_core.exports.categories import UNWRITABLE

_MAX_BYTES = 200

NameRule = Callable[[str], str]


class FileNames:
    """Gives each key a file name; keys that lose theirs are listed in `names.csv`.

    With `by_stem` names that differ only by their suffix count as equal. Case never tells names apart, because not
    every file system does. Remembers 8 bytes per name.
    """

    def __init__(self, folder: Path, rule: NameRule, *, by_stem: bool) -> None:
        self._list = folder / NAMES_FILE
        self._rule = rule
        self._by_stem = by_stem
        self._taken: set[int] = set()
        self.num_renamed = 0

    def assign(self, key: str) -> str:
        """The name of a key; raises DestinationError for a key that leads out of the folder."""
        if key.startswith("/") or ".." in PurePosixPath(key).parts:
            raise DestinationError(f"the key {key!r} leads out of the destination; it cannot be a file name")
        wanted = PurePosixPath(self._rule(key))
        name, count = wanted, 1
        while not self._take(name):
            count += 1
            name = wanted.with_name(f"{wanted.stem}~{count}{wanted.suffix}")
        if str(name) != key:
            self._note(key, str(name))
        return str(name)

    def _take(self, name: PurePosixPath) -> bool:
        text = str(name.with_suffix("") if self._by_stem else name).casefold()
        digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        if digest in self._taken:
            return False
        self._taken.add(digest)
        return True

    def _note(self, key: str, name: str) -> None:
        with self._list.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if self.num_renamed == 0:
                writer.writerow(NAMES_HEADER)
            writer.writerow((name, key))
        self.num_renamed += 1


def keep_key(key: str) -> str:
    """The key itself."""
    return key


def clean_key(key: str) -> str:
    """The key without characters that XML cannot hold."""
    return UNWRITABLE.sub("_", key)


def flatten_key(key: str) -> str:
    """One word for a key, ending in `.jpg`: VOC readers join `<id>.jpg`, split lists at blanks, and skip after a #."""
    word = re.sub(r"[\s#/\\]", "_", clean_key(str(PurePosixPath(key).with_suffix(""))))
    if len(word.encode()) > _MAX_BYTES:
        digest = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
        word = word.encode()[:_MAX_BYTES].decode(errors="ignore") + "~" + digest
    return word + ".jpg"


def avoid_image_folders(key: str) -> str:
    """The key without folders called `images` and hidden ones: YOLO tools find labels by the one, skip the other."""
    *folders, name = key.split("/")
    renamed = [f"{folder}_" if folder == "images" else folder for folder in folders]
    return "/".join(f"_{part}" if part.startswith(".") else part for part in (*renamed, name))
