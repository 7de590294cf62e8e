"""JSON lists and objects too long for memory, written item by item."""

from __future__ import annotations

import json
from typing import Any, TextIO


class JsonItems:
    """Writes the items between two brackets, one a line; the brackets are the caller's."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_first = True

    def add(self, item: Any, key: str | None = None) -> None:
        """Writes one item, of an object under its `key`."""
        self._file.write("\n" if self._is_first else ",\n")
        self._is_first = False
        prefix = "" if key is None else f"{json.dumps(key)}: "
        self._file.write(prefix + json.dumps(item))
