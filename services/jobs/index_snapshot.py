"""The list of jobs as it was last read, kept so that a service that starts need not read every job.

reconciler/index.json        a line each; harmless when it is old or gone
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from dap_core.errors import DapError
from dap_core.stores import Store
from services.jobs.records import JobState

SNAPSHOT_KEY = "reconciler/index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedJob:
    """One line of a list of jobs."""

    id: str
    owner: str
    kind: str
    created: str
    state: JobState
    attempt: int = 0
    record_state: JobState | None = None
    record_etag: str = ""

    @property
    def position(self) -> tuple[str, str]:
        """Where it stands in the order by time."""
        return self.created, self.id


def put_snapshot(store: Store, jobs: Iterable[IndexedJob]) -> None:
    """Keeps these lines. Raises StoreError."""
    store.put(SNAPSHOT_KEY, json.dumps([asdict(job) for job in jobs]).encode())


def read_snapshot(store: Store) -> list[IndexedJob]:
    """The lines that were kept; none where there are none or they cannot be read."""
    try:
        return [_parse(values) for values in json.loads(store.get(SNAPSHOT_KEY))]
    except (DapError, ValueError, TypeError, KeyError):
        return []


def _parse(values: dict[str, Any]) -> IndexedJob:
    """Raises ValueError, TypeError, KeyError for what is no line."""
    record_state = values["record_state"]
    states = {"state": JobState(values["state"]), "record_state": JobState(record_state) if record_state else None}
    return IndexedJob(**{**values, **states})
