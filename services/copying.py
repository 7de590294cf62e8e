"""Copying a folder into a store; what is there already is left alone, so an interrupted copy goes on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dap_core.stores import LocalStore, ObjectInfo, Store

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Copied:
    """One file of the source."""

    key: str
    size: int
    was_there: bool


def copy_objects(
    source: Store, destination: Store, prefix: str = "", *, on_copied: Callable[[Copied], None] | None = None
) -> list[Copied]:
    """All objects of a source whose key starts with `prefix`, put under their keys into a destination, in order.

    One that is there with the same size, and with the same content where the etag is its MD5 or it lies in a folder,
    is not put again. `on_copied` is called in several threads. Raises StoreError.
    """
    there = {info.key: info for info in destination.list_objects(prefix)}

    def copy(info: ObjectInfo) -> Copied:
        data = source.get(info.key)
        was_there = _is_same(data, there.get(info.key), destination)
        if not was_there:
            destination.put(info.key, data)
        copied = Copied(info.key, len(data), was_there)
        if on_copied:
            on_copied(copied)
        return copied

    with ThreadPoolExecutor(max(1, destination.num_parallel_reads)) as pool:
        return list(pool.map(copy, source.list_objects(prefix)))


def _is_same(data: bytes, found: ObjectInfo | None, destination: Store) -> bool:
    if found is None or found.size != len(data):
        return False
    if isinstance(destination, LocalStore):
        return destination.get(found.key) == data
    is_md5 = _MD5.fullmatch(found.etag) is not None
    return not is_md5 or hashlib.md5(data, usedforsecurity=False).hexdigest() == found.etag
