"""What happens in an attempt, in order: written in immutable batches, read from any place on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dap_core.errors import JobRecordError
from dap_core.stores import Store


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `id` is attempt.sequence, both counted from 1."""

    id: str
    time: str
    kind: str
    """state, stage, warning, shard, ..."""
    values: dict[str, Any]


class EventLog:
    """Collects the events of one attempt and puts them together when told to; safe in threads."""

    def __init__(self, store: Store, prefix: str, attempt: int) -> None:
        """Objects go below `prefix`, which ends with a slash."""
        self._store, self._prefix, self._attempt = store, prefix, attempt
        self._lock = threading.Lock()
        self._waiting: list[Event] = []
        self._number = 0

    def add(self, time: str, kind: str, values: dict[str, Any]) -> None:
        """Takes an event, to be put with the next batch."""
        with self._lock:
            self._number += 1
            self._waiting.append(Event(f"{self._attempt}.{self._number}", time, kind, values))

    def flush(self) -> None:
        """Puts what was taken since; when the store fails, it stays for the next time. Raises StoreError."""
        with self._lock:
            batch = list(self._waiting)
        if not batch:
            return
        first = int(batch[0].id.partition(".")[2])
        lines = [{"id": one.id, "time": one.time, "kind": one.kind, **one.values} for one in batch]
        self._store.put(f"{self._prefix}{first:09d}.json", json.dumps(lines).encode())
        with self._lock:
            del self._waiting[: len(batch)]


def read_events(store: Store, prefix: str, after: int = 0) -> Iterator[Event]:
    """The events of one attempt whose sequence is above `after`, in order. Raises JobRecordError, StoreError."""
    names = [info.key for info in store.list_objects(prefix)]
    numbers = [int(name.rpartition("/")[2].partition(".")[0]) for name in names]
    for index, name in enumerate(names):
        if index + 1 < len(names) and numbers[index + 1] <= after + 1:
            continue
        for values in _read_batch(store, name):
            event = Event(values.pop("id"), values.pop("time"), values.pop("kind"), values)
            if int(event.id.partition(".")[2]) > after:
                yield event


def _read_batch(store: Store, name: str) -> list[dict[str, Any]]:
    try:
        batch: list[dict[str, Any]] = json.loads(store.get(name))
    except ValueError as error:
        raise JobRecordError(f"{name} is no batch of events: {error}") from error
    return batch
