"""Jobs in an object store (DESIGN.md, Jobs): nothing is shared between writers, nothing but a record overwritten.

jobs/<id>/spec.json
jobs/<id>/attempts/0002-<random>/record.json
jobs/<id>/attempts/0002-<random>/events/000000017.json
jobs/<id>/cancel/0002
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from dap_core.errors import InputError, JobConflictError, JobMissingError, ObjectMissingError
from dap_core.stores import Store
from services.jobs.events import Event, EventLog, read_events
from services.jobs.job_facts import rank_attempt
from services.jobs.kinds import parse_spec
from services.jobs.records import JobRecord
from services.jobs.specs import JobSpec

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ATTEMPT = re.compile(r"jobs/[^/]+/attempts/(\d{4,}-[0-9a-f]+)/record\.json")


class Attempt:
    """One run of a job, and the only writer of its record and events."""

    def __init__(self, store: Store, job: str, name: str) -> None:
        """`name` is 0002-<random>."""
        self._store, self.job, self.name = store, job, name
        self._root = f"jobs/{job}/attempts/{name}/"
        self.events = EventLog(store, f"{self._root}events/", self.number)

    @property
    def number(self) -> int:
        """Counted from 1."""
        return rank_attempt(self.name)[0]

    def write(self, record: JobRecord) -> None:
        """Puts the record and the events that wait. Raises StoreError."""
        self.events.flush()
        self._store.put(f"{self._root}record.json", record.to_json().encode())

    def is_superseded(self) -> bool:
        """Whether a higher attempt is there; then this one writes nothing more."""
        return any(rank_attempt(name) > rank_attempt(self.name) for name in _list_attempts(self._store, self.job))

    def is_cancelled(self) -> bool:
        """Whether somebody asked this attempt to stop, or the first one before it had begun."""
        prefix = f"jobs/{self.job}/cancel/"
        numbers = {self.number, 0} if self.number == 1 else {self.number}
        asked = {info.key for info in self._store.list_objects(prefix)}
        return any(f"{prefix}{number:04d}" in asked for number in numbers)


class JobStore:
    """The jobs below one root."""

    def __init__(self, store: Store) -> None:
        """`store` is the root of everything this project keeps."""
        self.store = store

    def submit(self, spec: JobSpec, job: str | None = None) -> str:
        """Stores what is asked for, and returns the id of the job; asked twice under one id, it is one job.

        Raises JobConflictError when that id is another job's, InputError for what is no id, StoreError.
        """
        job = make_job_id(spec.kind) if job is None else _check_id(job)
        key, text = f"jobs/{job}/spec.json", spec.to_json()
        try:
            if parse_spec(self.store.get(key), key) != spec:
                raise JobConflictError(f"job {job} is there and asks for something else; give another id")
        except ObjectMissingError:
            self.store.put(key, text.encode())
        return job

    def list_jobs(self) -> Iterator[str]:
        """The ids of all jobs."""
        for info in self.store.list_objects("jobs/"):
            _, job, *rest = info.key.split("/")
            if rest == ["spec.json"]:
                yield job

    def read_spec(self, job: str) -> JobSpec:
        """What a job asks for. Raises JobMissingError, StoreError."""
        key = f"jobs/{_check_id(job)}/spec.json"
        try:
            return parse_spec(self.store.get(key), key)
        except ObjectMissingError:
            raise JobMissingError(f"there is no job {job} in {self.store.uri}") from None

    def read_record(self, job: str) -> JobRecord | None:
        """The record of the highest attempt, None before the first. Raises JobMissingError, JobRecordError."""
        attempts = _list_attempts(self.store, _check_id(job))
        if not attempts:
            self.read_spec(job)
            return None
        key = f"jobs/{job}/attempts/{attempts[-1]}/record.json"
        return JobRecord.from_json(self.store.get(key), key)

    def read_events(self, job: str, after: str = "0.0") -> Iterator[Event]:
        """The events of all attempts after the one with id `after`, in order."""
        attempt, sequence = map(int, after.split("."))
        for name in _list_attempts(self.store, _check_id(job)):
            number = rank_attempt(name)[0]
            if number >= attempt:
                prefix = f"jobs/{job}/attempts/{name}/events/"
                yield from read_events(self.store, prefix, sequence if number == attempt else 0)

    def next_attempt(self, job: str) -> Attempt:
        """The attempt after the highest; it is there when its first record is written."""
        attempts = _list_attempts(self.store, job)
        number = rank_attempt(attempts[-1])[0] + 1 if attempts else 1
        return Attempt(self.store, job, f"{number:04d}-{secrets.token_hex(4)}")

    def request_cancel(self, job: str) -> None:
        """Asks the highest attempt to stop, or the first one when there is none yet."""
        attempts = _list_attempts(self.store, _check_id(job))
        number = rank_attempt(attempts[-1])[0] if attempts else 0
        self.store.put(f"jobs/{job}/cancel/{number:04d}", b"")


def make_job_id(kind: str) -> str:
    """A new id that sorts by time, such as 20261124T101500-mine-1f2e3d4c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{kind}-{secrets.token_hex(4)}"


def is_job_id(text: str) -> bool:
    """Whether a text can be the id of a job."""
    return _ID.fullmatch(text) is not None


def _check_id(job: str) -> str:
    if not is_job_id(job):
        raise InputError(f"an id of a job is up to 100 letters, digits, '.', '_' or '-', got {job!r}")
    return job


def _list_attempts(store: Store, job: str) -> list[str]:
    """Names of the attempts that have a record, the highest last."""
    found = (_ATTEMPT.fullmatch(info.key) for info in store.list_objects(f"jobs/{job}/attempts/"))
    return sorted((match[1] for match in found if match), key=rank_attempt)
