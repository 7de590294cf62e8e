"""The jobs of a service's store, run on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from dap_core.stores import Store
from services.jobs.job_store import JobStore
from services.jobs.jobs_summary import OnPass
from services.jobs.launchers import Launcher, ProcessLauncher
from services.jobs.queueing import JobLimits
from services.jobs.ray_launcher import RayJobLauncher, RayJobOptions
from services.jobs.reconciling import Reconciler, ReconcilerOptions
from services.settings import ServiceSettings
from services.storage import open_store


@contextmanager
def running_jobs(settings: ServiceSettings, on_pass: OnPass = lambda _: None) -> Iterator[Thread | None]:
    """Jobs are started, watched and taken over while inside, as many at once as the settings say; with 0, none.

    Gives the thread that does so; `on_pass` hears there what was found. At the end, those on this machine are stopped
    in order and go on with the next service on the same store; those on a cluster do not notice.
    """
    if not settings.max_jobs:
        yield None
        return
    jobs = JobStore(open_store(settings.store))
    options = ReconcilerOptions(limits=JobLimits(total=settings.max_jobs, per_kind=settings.max_jobs_per_kind))
    reconciler = Reconciler(jobs, _make_launcher(settings, jobs.store), options)
    is_over = Event()
    thread = Thread(target=reconciler.run, args=(is_over, on_pass), name="dap-jobs", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        is_over.set()
        thread.join()
        if settings.ray_address is None:
            reconciler.stop_runners()


def _make_launcher(settings: ServiceSettings, store: Store) -> Launcher:
    if settings.ray_address is None:
        return ProcessLauncher(store)
    options = RayJobOptions(
        cpus=settings.cpus_per_job, gpus=settings.gpus_per_job, max_processes=settings.max_job_processes
    )
    return RayJobLauncher(store, settings.ray_address, options)
