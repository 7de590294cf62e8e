"""Where objects are kept: the store protocol, and a local directory that follows it.

Keys are relative POSIX paths. A put is atomic: readers see the whole object or none.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from dap_core.errors import ObjectChangedError, ObjectMissingError, StoreError

_TEMPORARY = ".tmp-"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a listing: key, size in bytes, etag, and time of its last change (seconds since 1970)."""

    key: str
    size: int
    etag: str
    modified: float


class Store(Protocol):
    """A flat collection of named byte objects.

    Every method raises StoreError when the store does not answer; reading a key that is not there raises
    ObjectMissingError.
    """

    @property
    def uri(self) -> str:
        """What names the store."""
        ...

    @property
    def num_parallel_reads(self) -> int:
        """Reads to have under way at the same time to hide how long each takes; 0 where there is nothing to hide."""
        ...

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, sorted by key."""
        ...

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        """The bytes of an object; raises ObjectChangedError when it no longer has the given etag."""
        ...

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of an object, fewer where it ends."""
        ...

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Writes an object whole, replacing one of that key."""
        ...

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        ...


class LocalStore:
    """A local directory as a store; etags are size and change time, so a rewritten file has another one."""

    num_parallel_reads = 0

    def __init__(self, root: str | Path) -> None:
        """Takes the directory `root`, which need not exist before the first put."""
        self.root = Path(root).absolute()
        self.uri = str(self.root)

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All files under the root, sorted by key; a name that is not UTF-8 is given with backslash escapes."""
        top = self.root / prefix.rpartition("/")[0]
        keys = [
            (Path(folder) / name).relative_to(self.root).as_posix()
            for folder, _, names in os.walk(top)
            for name in names
            if not name.startswith(_TEMPORARY)
        ]
        for key in sorted(key for key in keys if key.startswith(prefix)):
            yield self.describe(key)

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        """The bytes of a file; raises ObjectChangedError when size or change time are not those of `etag`."""
        path = self._path(key)
        try:
            if path.exists() and not path.is_file():
                raise StoreError(f"{key}: not a regular file")
            with path.open("rb") as file:
                found = _make_etag(os.fstat(file.fileno()))
                if etag is not None and found != etag:
                    raise ObjectChangedError(f"{key} changed since it was listed (etag {etag}, now {found})")
                return file.read()
        except (OSError, ValueError) as error:
            raise _store_error(key, error) from error

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a file, fewer where it ends."""
        try:
            with self._path(key).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as error:
            raise _store_error(key, error) from error

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Writes a file under a temporary name, flushes it to disk, then renames it."""
        path = self._path(key)
        temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise _store_error(key, error) from error

    def delete(self, key: str) -> None:
        """Removes a file."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise _store_error(key, error) from error

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise ValueError(f"a key is a relative path without '..', got {key!r}")
        return self.root / key

    def describe(self, key: str) -> ObjectInfo:
        """What a listing says of a key; a file that cannot be examined has size 0 and no etag."""
        try:
            status = (self.root / key).stat()
            size, etag, modified = status.st_size, _make_etag(status), status.st_mtime
        except (OSError, ValueError):  # a dangling link is listed; reading it says what is wrong
            size, etag, modified = 0, "", 0.0
        return ObjectInfo(key.encode("utf-8", "backslashreplace").decode(), size, etag, modified)


class SubStore:
    """The objects of a store below a prefix, as a store of their own."""

    def __init__(self, store: Store, prefix: str) -> None:
        """`prefix` names a folder, without a slash at its end."""
        self._store, self._prefix = store, f"{prefix}/"
        self.uri = f"{store.uri}/{prefix}"
        self.num_parallel_reads = store.num_parallel_reads

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects below whose key starts with `prefix`, sorted by key."""
        for info in self._store.list_objects(self._prefix + prefix):
            yield replace(info, key=info.key.removeprefix(self._prefix))

    def get(self, key: str, *, etag: str | None = None) -> bytes:
        """The bytes of an object."""
        return self._store.get(self._prefix + key, etag=etag)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of an object."""
        return self._store.get_range(self._prefix + key, start, stop)

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Writes an object whole."""
        self._store.put(self._prefix + key, data)

    def delete(self, key: str) -> None:
        """Removes an object."""
        self._store.delete(self._prefix + key)


def _make_etag(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _store_error(key: str, error: OSError | ValueError) -> StoreError:
    kind = ObjectMissingError if isinstance(error, FileNotFoundError) else StoreError
    reason = error.strerror if isinstance(error, OSError) else None
    return kind(f"{key}: {reason or error}")
