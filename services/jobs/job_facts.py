"""What the names of a job's objects tell: its attempts, what it was asked, and how fresh its record is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from dap_core.stores import ObjectInfo, Store
from services.jobs.records import ENDED, JobState

_NAME = re.compile(r"jobs/([^/]+)/(spec\.json|owner\.json|(?:cancel|resume)/\d+|attempts/[^/]+/record\.json)")


@dataclass(slots=True)
class JobFacts:
    """A job as a listing shows it; `spec` is None when there is no such job."""

    id: str
    spec: ObjectInfo | None = None
    owner: ObjectInfo | None = None
    records: dict[str, ObjectInfo] = field(default_factory=dict)
    """By the names of the attempts."""
    cancels: set[int] = field(default_factory=set)
    resumes: set[int] = field(default_factory=set)
    """Attempts that were asked to stop, and after which another one was asked for; 0 before the first one."""

    @property
    def attempt_name(self) -> str | None:
        """The highest attempt, None before the first."""
        return max(self.records, key=rank_attempt, default=None)

    @property
    def attempt(self) -> int:
        """Its number, 0 before the first."""
        return rank_attempt(self.attempt_name)[0] if self.attempt_name else 0

    @property
    def record(self) -> ObjectInfo | None:
        """The record of the highest attempt."""
        return self.records[self.attempt_name] if self.attempt_name else None

    def is_cancel_asked(self, state: JobState | None) -> bool:
        """Whether the highest attempt, or the next one that was asked for, is to stop; `state` is of the highest."""
        if self.is_resume_asked(state):
            return self.attempt + 1 in self.cancels
        return self.attempt in self.cancels or (self.attempt <= 1 and 0 in self.cancels)

    def is_resume_asked(self, state: JobState | None) -> bool:
        """Whether another attempt was asked for, of a job whose highest one ended with `state`."""
        return state in ENDED and self.attempt in self.resumes

    def choose_state(self, state: JobState | None) -> JobState:
        """The state of the job, of the one in its highest record: it waits before the first and between attempts."""
        return JobState.QUEUED if state is None or self.is_resume_asked(state) else state


def list_facts(store: Store, job: str) -> JobFacts:
    """What the objects of one job tell; `spec` is None when there is no such job. Raises StoreError."""
    return collect_facts(store.list_objects(f"jobs/{job}/")).get(job, JobFacts(job))


def list_all_facts(store: Store) -> dict[str, JobFacts]:
    """What the objects of all jobs tell, by id. Raises StoreError."""
    return {job: facts for job, facts in collect_facts(store.list_objects("jobs/")).items() if facts.spec}


def collect_facts(listing: Iterable[ObjectInfo]) -> dict[str, JobFacts]:
    """The jobs of a listing of `jobs/`, by id; some may have no spec yet."""
    found: dict[str, JobFacts] = {}
    for info in listing:
        match = _NAME.fullmatch(info.key)
        if match:
            facts = found.setdefault(match[1], JobFacts(match[1]))
            _add(facts, match[2], info)
    return found


def _add(facts: JobFacts, name: str, info: ObjectInfo) -> None:
    folder, _, rest = name.partition("/")
    if name == "spec.json":
        facts.spec = info
    elif name == "owner.json":
        facts.owner = info
    elif folder == "cancel":
        facts.cancels.add(int(rest))
    elif folder == "resume":
        facts.resumes.add(int(rest))
    else:
        facts.records[rest.partition("/")[0]] = info


def rank_attempt(name: str) -> tuple[int, str]:
    """Number and name of an attempt, such as 0002-1f2e3d4c: the order of attempts; other names come first."""
    number = name.partition("-")[0]
    return (int(number) if number.isdecimal() else 0), name
