"""An object of a store as a file that is read piece by piece."""

from __future__ import annotations

import io

from dap_core.stores import Store


class RangeFile(io.RawIOBase):
    """A seekable file over ranged reads; nothing is kept. Reading raises StoreError."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        """`size` is that of the object, in bytes."""
        super().__init__()
        self._store, self._key, self._size, self._position = store, key, size, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place, as files do."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or all that are left."""
        stop = self._size if size is None or size < 0 else min(self._size, self._position + size)
        data = self._store.get_range(self._key, self._position, stop) if stop > self._position else b""
        self._position += len(data)
        return data
