"""Where `dap jobs` finds jobs: in the store of this machine, or at a service; both give the values of the HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from clients.cli.job_watching import reports_answers

if TYPE_CHECKING:
    from dap_client import Client

    from services.jobs.job_desk import JobDesk

Values = dict[str, Any]


class JobSource(Protocol):
    """What can be asked of jobs."""

    def list_jobs(self, kind: str | None, state: str | None, limit: int) -> list[Values]:
        """The newest jobs, first first."""
        ...

    def get(self, job: str) -> Values:
        """One job."""
        ...

    def logs(self, job: str) -> str:
        """What it printed."""
        ...

    def ask(self, job: str, verb: str) -> Values:
        """The job after cancel or resume, or the new one of retry_failed."""
        ...


class LocalJobs:
    """The jobs of a store, without a service; whoever can write there may do everything."""

    def __init__(self, desk: JobDesk) -> None:
        from services.jobs.ownership import Caller

        self._desk, self._caller = desk, Caller("local", sees_all=True)

    def list_jobs(self, kind: str | None, state: str | None, limit: int) -> list[Values]:
        """The newest jobs, first first. Raises ValueError for a state that is none."""
        from services.jobs.job_index import JobFilter
        from services.jobs.records import JobState

        wanted = JobFilter(kind=kind, state=JobState(state) if state else None, limit=limit)
        found = self._desk.list_jobs(self._caller, wanted)
        names = ("id", "kind", "state", "created", "attempt")
        return [{name: getattr(one, name) for name in names} for one in found]

    def get(self, job: str) -> Values:
        """One job."""
        return self._desk.get(self._caller, job).to_json()

    def logs(self, job: str) -> str:
        """What it printed, where a service ran it."""
        from services.jobs.job_outputs import read_logs

        self.get(job)
        return b"".join(read_logs(self._desk.store, job)).decode(errors="replace")

    def ask(self, job: str, verb: str) -> Values:
        """The job after cancel. Raises ValueError for what needs a service, which runs jobs."""
        if verb != "cancel":
            raise ValueError(f"{verb.replace('_', '-')} needs a service that runs the job; name it with --service URL")
        return self._desk.cancel(self._caller, job).to_json()


class ServiceJobs:
    """The jobs of a service."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_jobs(self, kind: str | None, state: str | None, limit: int) -> list[Values]:
        """The newest jobs, first first."""
        return list(islice(self._client.jobs.list(kind=kind, state=state), limit))

    def get(self, job: str) -> Values:
        """One job."""
        return self._client.jobs.get(job).values

    def logs(self, job: str) -> str:
        """What it printed."""
        return self._client.jobs.get(job).logs()

    def ask(self, job: str, verb: str) -> Values:
        """The job after cancel or resume, or the new one of retry_failed."""
        asked: Any = getattr(self._client.jobs.get(job), verb)()
        values: Values = asked.values
        return values


@contextmanager
def open_jobs(service: str | None, api_key: str | None) -> Iterator[JobSource]:
    """The jobs of a service, or else of the store of this machine."""
    if service is None:
        yield LocalJobs(_open_desk())
        return
    from dap_client import Client

    with reports_answers(), Client(service, api_key=api_key) as client:
        yield ServiceJobs(client)


def _open_desk() -> JobDesk:
    from services.jobs.job_desk import JobDesk
    from services.jobs.job_policy import JobPolicy
    from services.settings import read_job_root
    from services.storage import open_store

    store = open_store(read_job_root())
    return JobDesk(store, JobPolicy(places=(), root=store.uri))
