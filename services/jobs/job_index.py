"""All jobs of a store in memory, newest first: read once, then a listing now and then and what it shows to be new."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from dap_core.errors import DapError
from dap_core.stores import Store
from services.jobs.index_snapshot import IndexedJob, put_snapshot, read_snapshot
from services.jobs.job_facts import JobFacts, list_all_facts
from services.jobs.job_views import JobView, choose_created, read_fresh_record
from services.jobs.kinds import parse_spec
from services.jobs.ownership import NOBODY, Caller, read_ownership
from services.jobs.records import JobState

_REREAD_S, _SHARE_OF_TIME = 1.0, 10.0
_AT_ONCE_S = 0.05
"""A listing that took no longer is done while the caller waits."""
_SAVED_AFTER = 100
"""So many jobs that were read are left for the next index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are wanted; None stands for all."""

    kind: str | None = None
    state: JobState | None = None
    before: tuple[str, str] | None = None
    """Only jobs that stand before this position, the older ones."""
    limit: int = 50


class JobIndex:
    """The list of jobs; safe in threads."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads nothing yet; `clock` gives seconds."""
        self._store, self._clock = store, clock
        self._jobs: dict[str, IndexedJob] = {}
        self._sorted: list[IndexedJob] = []
        self._refreshing, self._changing = threading.Lock(), threading.Lock()
        self._read_at = float("-inf")
        self._took_s = float("inf")
        self._num_unsaved = 0

    def list_jobs(self, caller: Caller, wanted: JobFilter) -> list[IndexedJob]:
        """The jobs that the caller sees, newest first; as of the last listing, a second old or ten times its length."""
        self._refresh_if_old()
        with self._changing:
            jobs = self._sorted
        stop = len(jobs)
        if wanted.before is not None:
            stop = bisect.bisect_left(jobs, wanted.before, key=lambda one: one.position)
        found: list[IndexedJob] = []
        for one in reversed(jobs[:stop]):
            if caller.sees(one.owner) and wanted.kind in (None, one.kind) and wanted.state in (None, one.state):
                found.append(one)
                if len(found) == wanted.limit:
                    break
        return found

    def note(self, view: JobView) -> None:
        """Takes a job as it was just read or made."""
        record_state = view.record.state if view.record else None
        job = IndexedJob(
            id=view.id,
            owner=view.owner,
            kind=view.spec.kind,
            created=view.created,
            state=view.state,
            attempt=view.attempt,
            record_state=record_state,
        )
        with self._changing:
            self._change([job])

    def refresh(self) -> None:
        """Lists the store, and reads what is new in it. Raises StoreError."""
        with self._refreshing:
            began = self._clock()
            facts = list_all_facts(self._store)
            if self._read_at == float("-inf"):
                self._take_snapshot(facts)
            new = self._read_all(facts.values())
            with self._changing:
                self._change(new)
            self._num_unsaved += len(new)
            self._save_snapshot()
            self._read_at = self._clock()
            self._took_s = self._read_at - began

    def warm_up(self) -> None:
        """Begins to read, so that the first caller need not wait for it."""

        def read() -> None:
            with suppress(DapError):  # then the first caller does it
                self.refresh()

        threading.Thread(target=read, name="dap-job-index", daemon=True).start()

    def _refresh_if_old(self) -> None:
        if self._read_at == float("-inf"):
            self.refresh()
        elif self._clock() - self._read_at > max(_REREAD_S, _SHARE_OF_TIME * self._took_s):
            if self._took_s <= _AT_ONCE_S:
                self.refresh()
            elif not self._refreshing.locked():
                threading.Thread(target=self._refresh_quietly, name="dap-job-index", daemon=True).start()

    def _refresh_quietly(self) -> None:
        try:
            self.refresh()
        except DapError:
            self._read_at = self._clock()  # as it was; asked again after a while

    def _take_snapshot(self, facts: Mapping[str, JobFacts]) -> None:
        """Begins with what another index has read; what has changed since is read as always."""
        known = [job for job in read_snapshot(self._store) if job.id in facts]
        with self._changing:
            self._change(job for job in known if job.id not in self._jobs)

    def _save_snapshot(self) -> None:
        if self._num_unsaved >= _SAVED_AFTER:
            self._num_unsaved = 0
            with suppress(DapError):  # the next one reads more
                put_snapshot(self._store, self._jobs.values())

    def _read_all(self, facts: Iterable[JobFacts]) -> list[IndexedJob]:
        changed = [one for one in facts if self._is_new(one)]
        with ThreadPoolExecutor(max(1, self._store.num_parallel_reads)) as pool:
            return [job for job in pool.map(self._read, changed) if job]

    def _is_new(self, facts: JobFacts) -> bool:
        known = self._jobs.get(facts.id)
        if known is None:
            return True
        etag = facts.record.etag if facts.record else ""
        return known.record_etag != etag or known.state != facts.choose_state(known.record_state)

    def _read(self, facts: JobFacts) -> IndexedJob | None:
        """A line of the list; None for a job whose objects are damaged or gone."""
        try:
            known = self._jobs.get(facts.id) or self._read_new(facts)
            record = read_fresh_record(self._store, facts)
        except DapError:
            return None
        state = record.state if record else None
        return replace(
            known,
            state=facts.choose_state(state),
            attempt=facts.attempt,
            record_state=state,
            record_etag=facts.record.etag if facts.record else "",
        )

    def _read_new(self, facts: JobFacts) -> IndexedJob:
        assert facts.spec is not None
        owned = read_ownership(self._store, facts.id) if facts.owner else None
        kind = owned.kind if owned else parse_spec(self._store.get(facts.spec.key), facts.spec.key).kind
        created = choose_created(facts, owned)
        owner = owned.owner if owned else NOBODY
        return IndexedJob(id=facts.id, owner=owner, kind=kind, created=created, state=JobState.QUEUED)

    def _change(self, jobs: Iterable[IndexedJob]) -> None:
        changed = {one.id: one for one in jobs}
        if changed:
            self._jobs = {**self._jobs, **changed}
            self._sorted = sorted(self._jobs.values(), key=lambda one: one.position)
