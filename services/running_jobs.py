"""The jobs of a service's store, run beside it on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from services.jobs.job_store import JobStore
from services.jobs.launchers import ProcessLauncher
from services.jobs.queueing import JobLimits
from services.jobs.reconciling import Reconciler, ReconcilerOptions
from services.settings import ServiceSettings
from services.storage import open_store


@contextmanager
def running_jobs(settings: ServiceSettings) -> Iterator[None]:
    """Jobs are started, watched and taken over while inside, as many at once as the settings say; with 0, none.

    At the end those under way are stopped in order; they go on with the next service on the same store.
    """
    if not settings.max_jobs:
        yield
        return
    jobs = JobStore(open_store(settings.store))
    options = ReconcilerOptions(limits=JobLimits(total=settings.max_jobs, per_kind=settings.max_jobs_per_kind))
    reconciler = Reconciler(jobs, ProcessLauncher(jobs.store), options)
    is_over = Event()
    thread = Thread(target=reconciler.run, args=(is_over,), name="dap-jobs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        reconciler.stop_runners()
