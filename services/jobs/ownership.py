"""Whose a job is: stored beside its spec before the job is there, and asked before anything is told of it.

jobs/<id>/owner.json     owner, kind, time, the jobs it comes after
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from dap_core.errors import JobRecordError, ObjectMissingError
from dap_core.stores import Store
from services.jobs.context import format_now

NOBODY = ""
"""The owner of jobs that were not submitted to a service."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the id of a key, and whether it sees the jobs of others."""

    owner: str
    sees_all: bool = False

    def sees(self, owner: str) -> bool:
        """Whether a job of this owner is there for the caller."""
        return self.sees_all or owner == self.owner

    def derive_job_id(self, idempotency_key: str, number: int) -> str:
        """The id of job `number` of a request, the same whenever and wherever the caller sends it again."""
        text = "\0".join((self.owner, idempotency_key, str(number)))
        return f"k{hashlib.sha256(text.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What is kept of who submitted a job, and when (ISO 8601, UTC)."""

    owner: str
    kind: str
    created: str
    after: tuple[str, ...] = ()
    """Jobs whose outputs it reads: it can run when they have succeeded."""
    num_jobs: int = 1
    """Of the list that it was submitted in."""

    @classmethod
    def of(cls, caller: Caller, kind: str, after: tuple[str, ...] = (), num_jobs: int = 1) -> Ownership:
        """What is kept of a job that is submitted now."""
        return cls(owner=caller.owner, kind=kind, created=format_now(), after=after, num_jobs=num_jobs)


def owner_key(job: str) -> str:
    """Where the owner of a job is stored."""
    return f"jobs/{job}/owner.json"


def put_ownership(store: Store, job: str, ownership: Ownership) -> None:
    """Stores whose a job is, before its spec."""
    store.put(owner_key(job), json.dumps(asdict(ownership)).encode())


def read_ownership(store: Store, job: str) -> Ownership | None:
    """Whose a job is; None of one that was not submitted to a service. Raises JobRecordError, StoreError."""
    try:
        values = json.loads(store.get(owner_key(job)))
        return Ownership(**{**values, "after": tuple(values["after"])})
    except ObjectMissingError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise JobRecordError(f"{owner_key(job)} is not whose a job is: {error!r}") from error
