"""Jobs as they are submitted, asked for and told to stop by people who own them; any number of desks share a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dap_core.errors import JobConflictError, JobMissingError
from dap_core.stores import Store
from services.jobs.events import Event
from services.jobs.index_snapshot import IndexedJob
from services.jobs.job_facts import list_facts
from services.jobs.job_index import JobFilter, JobIndex
from services.jobs.job_policy import JobPolicy
from services.jobs.job_store import JobStore, is_job_id, make_job_id
from services.jobs.job_views import JobView, read_fresh_record, read_view
from services.jobs.output_claims import OutputClaims
from services.jobs.ownership import Caller, Ownership, put_ownership, read_ownership
from services.jobs.records import ENDED, JobState
from services.jobs.refusals import JobRefusedError
from services.jobs.spec_places import list_outputs, overlap, refuse_overlaps
from services.jobs.specs import JobSpec, MineSpec
from services.settings import ServiceSettings
from services.storage import open_store

_RESUMED = frozenset({JobState.FAILED, JobState.CANCELLED})
_STOPPED = frozenset({JobState.QUEUED, JobState.RUNNING})


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is asked for: its spec, the jobs it comes after, and where it stands in the request."""

    spec: JobSpec
    after: tuple[int | str, ...] = ()
    """Numbers of jobs of the same request, or ids."""
    root: str = "#"
    """JSON pointer."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The jobs of a request, in order; `is_replay` when all of them were there before."""

    jobs: tuple[JobView, ...]
    is_replay: bool


class JobDesk:
    """What callers may do with the jobs below one root; blocks, and is safe in threads."""

    def __init__(self, store: Store, policy: JobPolicy) -> None:
        """Reads nothing yet."""
        self.store, self.policy = store, policy
        self._jobs = JobStore(store)
        self._index = JobIndex(store)
        self._claims = OutputClaims(store, self._is_unfinished)

    def check(self, drafts: Sequence[Draft]) -> None:
        """Raises JobRefusedError for what is refused whatever else there is."""
        for number, draft in enumerate(drafts):
            try:
                self.policy.check(draft.spec)
                refuse_overlaps(draft.spec)
                _refuse_shared_outputs(draft.spec, [one.spec for one in drafts[:number]])
            except JobRefusedError as error:
                raise error.below(draft.root) from None

    def submit(self, caller: Caller, drafts: Sequence[Draft], idempotency_key: str | None = None) -> Submitted:
        """The jobs, stored; sent again under the same key, they are the same jobs.

        Raises JobRefusedError for what `check` refuses, an output that is in use, and a key that stands for something
        else. What an interrupted call left out is stored when it is sent again.
        """
        jobs = [
            make_job_id(draft.spec.kind) if idempotency_key is None else caller.derive_job_id(idempotency_key, number)
            for number, draft in enumerate(drafts)
        ]
        known = self._find_known(jobs, drafts) if idempotency_key is not None else set()
        new = [(job, draft) for job, draft in zip(jobs, drafts, strict=True) if job not in known]
        if new:
            self.check(drafts)
            self._claim(new)
        for job, draft in new:
            after = tuple(jobs[one] if isinstance(one, int) else one for one in draft.after)
            self._put(job, draft, Ownership.of(caller, draft.spec.kind, after, len(drafts)))
        return Submitted(tuple(self._read(job) for job in jobs), is_replay=not new)

    def get(self, caller: Caller, job: str) -> JobView:
        """A job by now. Raises JobMissingError also for one that the caller does not see."""
        if not is_job_id(job):
            raise JobMissingError(f"there is no job {job[:100]!r}")
        view = read_view(self.store, job)
        self._index.note(view)
        if not caller.sees(view.owner):
            raise JobMissingError(f"there is no job {job}")
        return view

    def read_events(self, job: str, after: str) -> list[Event]:
        """What happened in a job after the event of that id. Raises JobRecordError, StoreError."""
        return list(self._jobs.read_events(job, after))

    def warm_up(self) -> None:
        """Begins to read the list of jobs, so that nobody has to wait for it later."""
        self._index.warm_up()

    def list_jobs(self, caller: Caller, wanted: JobFilter) -> list[IndexedJob]:
        """Jobs that the caller sees, newest first."""
        return self._index.list_jobs(caller, wanted)

    def cancel(self, caller: Caller, job: str) -> JobView:
        """The job, asked to stop; once more changes nothing. Raises JobRefusedError for one that has ended."""
        view = self.get(caller, job)
        if view.state == JobState.CANCELLED:
            return view
        _refuse_state(view, "cancel", _STOPPED)
        if view.record and view.record.state in ENDED:  # it waits for its next attempt, which may begin just now
            self.store.put(f"jobs/{job}/cancel/{view.attempt + 1:04d}", b"")
            self.store.delete(f"jobs/{job}/resume/{view.attempt:04d}")
        elif not view.is_cancel_asked:
            self._jobs.request_cancel(job)
        return self._read(job)

    def resume(self, caller: Caller, job: str) -> JobView:
        """The job, with another attempt asked for; once more changes nothing.

        Raises JobRefusedError for one that runs or has succeeded, or whose output another job writes to by now.
        """
        view = self.get(caller, job)
        if view.state == JobState.QUEUED and not view.is_cancel_asked:
            return view
        _refuse_state(view, "resume", _RESUMED)
        try:
            self._claims.take(job, list_outputs(view.spec))
        except JobRefusedError as error:  # of a job that is there already, nothing in the request is wrong
            raise JobRefusedError(error.error_type, str(error)) from None
        self.store.delete(f"jobs/{job}/cancel/{view.attempt + 1:04d}")
        self.store.put(f"jobs/{job}/resume/{view.attempt:04d}", b"")
        return self._read(job)

    def retry_failed(self, caller: Caller, job: str, idempotency_key: str | None = None) -> Submitted:
        """A new job that labels the images again that failed. Raises JobRefusedError where there can be none."""
        view = self.get(caller, job)
        if not isinstance(view.spec, MineSpec):
            detail = f"only jobs of kind mine label failed images again; this one is of kind {view.spec.kind}"
            raise JobRefusedError("wrong-state", detail)
        _refuse_state(view, "retry-failed", frozenset({JobState.PARTIALLY_SUCCEEDED}))
        spec = view.spec.model_copy(update={"growth": "failed-images"})
        return self.submit(caller, [Draft(spec)], idempotency_key)

    def _find_known(self, jobs: list[str], drafts: Sequence[Draft]) -> set[str]:
        """Which of the jobs are there. Raises JobRefusedError when one of them was asked for by another request."""
        known = {job for job in jobs if list_facts(self.store, job).spec}
        for job, draft in zip(jobs, drafts, strict=True):
            if job in known:
                owned = read_ownership(self.store, job)
                if self._jobs.read_spec(job) != draft.spec or (owned and owned.num_jobs != len(drafts)):
                    raise _key_reused()
        return known

    def _claim(self, new: Sequence[tuple[str, Draft]]) -> None:
        taken: list[tuple[str, Draft]] = []
        try:
            for job, draft in new:
                self._claims.take(job, list_outputs(draft.spec))
                taken.append((job, draft))
        except JobRefusedError as error:
            for job, one in taken:
                self._claims.give_back(job, list_outputs(one.spec))
            raise error.below(new[len(taken)][1].root) from None

    def _put(self, job: str, draft: Draft, owned: Ownership) -> None:
        if list_facts(self.store, job).spec is None:
            put_ownership(self.store, job, owned)
        try:
            self._jobs.submit(draft.spec, job)
        except JobConflictError:
            raise _key_reused() from None
        if self._jobs.read_spec(job) != draft.spec:  # of two that were sent at the same moment the last one counts
            raise _key_reused()

    def _read(self, job: str) -> JobView:
        view = read_view(self.store, job)
        self._index.note(view)
        return view

    def _is_unfinished(self, job: str) -> bool | None:
        """Whether a job may still write, None when there is none."""
        facts = list_facts(self.store, job)
        if facts.spec is None:
            return None
        record = read_fresh_record(self.store, facts)
        return facts.choose_state(record.state if record else None) not in ENDED


def _refuse_state(view: JobView, verb: str, allowed: frozenset[JobState]) -> None:
    if view.state not in allowed:
        wanted = " or ".join(sorted(allowed))
        raise JobRefusedError("wrong-state", f"{verb} is for jobs that are {wanted}; job {view.id} is {view.state}")


def _refuse_shared_outputs(spec: JobSpec, earlier: Sequence[JobSpec]) -> None:
    for output in list_outputs(spec):
        for other in (one for before in earlier for one in list_outputs(before)):
            if overlap(output.place, other.place):
                detail = f"two jobs of the list write to {other.place}; give each a place of its own"
                raise JobRefusedError("output-in-use", detail, pointer=output.pointer)


def _key_reused() -> JobRefusedError:
    return JobRefusedError("idempotency-key-reused", "the Idempotency-Key stands for another job; choose a new one")


def open_desk(settings: ServiceSettings) -> JobDesk:
    """The desk of a service with these settings."""
    store = open_store(settings.store)
    places = settings.job_places or (f"{store.uri}/data",)
    return JobDesk(store, JobPolicy(places=places, root=store.uri, max_processes=settings.max_job_processes))
