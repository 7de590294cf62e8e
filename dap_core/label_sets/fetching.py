"""Reading the images of a shard, ahead of the labeler where a store takes its time."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from dap_core.errors import ImageError
from dap_core.label_sets.plan import PlanRow
from dap_core.stores import Store

_AHEAD_PER_READER = 2


class Fetch:
    """Reads one image when called, or gives what was read ahead; keeps its bytes and their hash for the row."""

    def __init__(self, source: Store, row: PlanRow) -> None:
        self.source, self.row = source, row
        self.data, self.sha256 = b"", ""
        self.seconds = 0.0
        """How long the read took."""
        self._started: Future[bytes] | None = None

    def start(self, readers: ThreadPoolExecutor) -> None:
        """Begins to read in a thread."""
        self._started = readers.submit(self._read)

    def __call__(self) -> bytes:
        """The bytes; raises StoreError or ImageError."""
        started, self._started = self._started, None
        self.data = started.result() if started else self._read()
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        return self.data

    def release(self) -> None:
        """Lets go of the bytes."""
        self.data = b""

    def _read(self) -> bytes:
        started = time.perf_counter()
        try:
            return self.source.get(self.row.key, etag=self.row.etag)
        except ValueError as error:
            raise ImageError("unreadable-file", str(error)) from error
        finally:
            self.seconds = time.perf_counter() - started


def start_ahead(fetches: Iterable[Fetch], num_readers: int) -> Iterator[Fetch]:
    """The fetches in order, the next ones already begun by `num_readers` threads; none is begun without any."""
    if not num_readers:
        yield from fetches
        return
    begun: deque[Fetch] = deque()
    readers = ThreadPoolExecutor(num_readers, "dap-reader")
    try:
        for fetch in fetches:
            fetch.start(readers)
            begun.append(fetch)
            if len(begun) > _AHEAD_PER_READER * num_readers:
                yield begun.popleft()
        yield from begun
    except GeneratorExit:
        readers.shutdown(wait=False, cancel_futures=True)
        raise
    readers.shutdown(wait=False)  # what has begun is still wanted
