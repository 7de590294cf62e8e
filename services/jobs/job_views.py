"""A job as people see it: what was asked, where it stands, and why it waits."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from dap_core.errors import JobMissingError, ObjectMissingError
from dap_core.stores import Store
from services.jobs.job_facts import JobFacts, list_facts
from services.jobs.kinds import parse_spec
from services.jobs.ownership import NOBODY, Ownership, read_ownership
from services.jobs.records import ENDED, JobRecord, JobState, ProgressCounts
from services.jobs.specs import JobSpec

QUEUE_KEY = "reconciler/queue.json"
_WAITING = "waiting to be looked at"
_STALLED_AFTER_S = 30.0
"""Six heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job; times are ISO 8601, UTC."""

    id: str
    spec: JobSpec
    owner: str
    created: str
    after: tuple[str, ...]
    state: JobState
    attempt: int
    """The highest, 0 before the first."""
    record: JobRecord | None
    """Of the highest attempt."""
    is_cancel_asked: bool
    is_stalled: bool
    """Whether it should be running, and nothing was heard of it for half a minute."""
    reason: str | None
    """Why it waits, while it is queued."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it, unless it is asked for."""
        return self.state in ENDED

    def to_json(self) -> dict[str, Any]:
        """The job as JSON values."""
        record = self.record
        return {
            "id": self.id,
            "kind": self.spec.kind,
            "state": self.state,
            "created": self.created,
            "attempt": self.attempt,
            "reason": self.reason,
            "cancel_requested": self.is_cancel_asked and not self.has_ended,
            "stalled": self.is_stalled,
            "after": list(self.after),
            "started": record and record.started,
            "updated": record and record.updated,
            "ended": record.ended if record and self.has_ended else None,
            "stage": record and record.stage,
            "progress": asdict(record.progress if record else ProgressCounts()),
            "error_type": record and record.error_type,
            "message": record and record.message,
            "warnings": list(record.warnings) if record else [],
            "result": record and record.result,
            "spec": self.spec.model_dump(mode="json"),
        }


def read_view(store: Store, job: str) -> JobView:
    """The job by now, from one listing and up to four objects. Raises JobMissingError, JobRecordError, StoreError."""
    return make_view(store, list_facts(store, job))


def make_view(store: Store, facts: JobFacts) -> JobView:
    """The job whose objects were listed. Raises as `read_view` does."""
    if facts.spec is None:
        raise JobMissingError(f"there is no job {facts.id}")
    spec = parse_spec(store.get(facts.spec.key), facts.spec.key)
    owned = read_ownership(store, facts.id) if facts.owner else None
    record = read_fresh_record(store, facts)
    state = facts.choose_state(record.state if record else None)
    return JobView(
        id=facts.id,
        spec=spec,
        owner=owned.owner if owned else NOBODY,
        created=choose_created(facts, owned),
        after=owned.after if owned else (),
        state=state,
        attempt=facts.attempt,
        record=record,
        is_cancel_asked=facts.is_cancel_asked(record.state if record else None),
        is_stalled=state == JobState.RUNNING and _is_old(facts),
        reason=read_reasons(store).get(facts.id, _WAITING) if state == JobState.QUEUED else None,
    )


def read_fresh_record(store: Store, facts: JobFacts) -> JobRecord | None:
    """The record of the highest attempt, None before the first. Raises JobRecordError, StoreError."""
    return JobRecord.from_json(store.get(facts.record.key), facts.record.key) if facts.record else None


def choose_created(facts: JobFacts, owned: Ownership | None) -> str:
    """When a job was submitted: as its owner has it, else when its spec was stored."""
    if owned:
        return owned.created
    assert facts.spec is not None
    moment = datetime.fromtimestamp(facts.spec.modified, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_reasons(store: Store) -> dict[str, str]:
    """Why jobs wait, by id, as whoever starts them last said; empty when nobody did. Raises StoreError."""
    try:
        values = json.loads(store.get(QUEUE_KEY))
    except (ObjectMissingError, ValueError):
        return {}
    return {str(job): str(reason) for job, reason in values.items()} if isinstance(values, dict) else {}


def _is_old(facts: JobFacts) -> bool:
    return facts.record is not None and time.time() - facts.record.modified > _STALLED_AFTER_S
