"""A reconciler as a process: `python -m tests.reconciler_process ROOT` runs jobs until SIGTERM comes."""

from __future__ import annotations

import signal
import sys
from threading import Event

from services.jobs.job_store import JobStore
from services.jobs.launchers import ProcessLauncher
from services.jobs.reconciling import Reconciler, ReconcilerOptions
from services.storage import open_store

if __name__ == "__main__":
    until = Event()
    signal.signal(signal.SIGTERM, lambda *_: until.set())
    options = ReconcilerOptions(stale_s=30, lease_s=1, survey_s=0.1, pass_s=0.1)
    store = open_store(sys.argv[1])
    Reconciler(JobStore(store), ProcessLauncher(store, options=("--heartbeat-s", "0.2")), options).run(until)
