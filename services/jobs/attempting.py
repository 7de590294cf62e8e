"""The process that runs one attempt of a job: `python -m services.jobs.attempting ROOT JOB`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial

from dap_core.errors import DapError, InputError, JobStoppedError, StoreError
from services.jobs.context import JobContext
from services.jobs.heartbeat import HEARTBEAT_S
from services.jobs.job_store import JobStore
from services.jobs.kinds import find_runner
from services.jobs.outcomes import Outcome
from services.jobs.ray_placing import place_on_ray
from services.jobs.records import JobState
from services.jobs.runner import run_job
from services.jobs.specs import JobSpec
from services.storage import open_store

NICENESS = 10
"""People wait for the answers of a service, and nobody for a job that takes hours anyway."""
_LOG = logging.getLogger(__name__)


class AttemptExit(IntEnum):
    """How an attempt ended; with any other code, or by a signal, its process died."""

    SUCCEEDED = 0
    REFUSED = 2
    """There is no such job, or what it asks for cannot be read."""
    PARTLY_SUCCEEDED = 3
    FAILED = 4
    UNREACHABLE = 5
    """The store did not answer; there may be no record of the end."""
    SUPERSEDED = 6
    """Another attempt has taken the job over."""
    STOPPED = 130
    """By a request to stop, or by SIGTERM or SIGINT."""


_CODES = {JobState.SUCCEEDED: AttemptExit.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED: AttemptExit.PARTLY_SUCCEEDED}


Place = Callable[[JobSpec], JobSpec]
"""What a job asks for, with where it runs."""


def run_attempt(
    root: str,
    job: str,
    *,
    heartbeat_s: float = HEARTBEAT_S,
    place: Place = lambda spec: spec,
    number: int | None = None,
) -> AttemptExit:
    """Runs the next attempt of a job in this process, to its end; SIGTERM counts as an interrupt meanwhile.

    With a `number`, only where that is the next one's: who had to wait for long may have been given up. Only for the
    main thread. The record is there before anything heavy is imported.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(root, job, heartbeat_s, place, number)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(root: str, job: str, heartbeat_s: float, place: Place, number: int | None) -> AttemptExit:
    jobs = JobStore(open_store(root))
    try:
        jobs.read_spec(job)
    except InputError as error:
        _LOG.error("job %s cannot be run: %s", job, error)
        return AttemptExit.REFUSED
    if number is not None and jobs.next_attempt(job).number != number:
        _LOG.info("job %s no longer waits for attempt %d", job, number)
        return AttemptExit.SUPERSEDED
    try:
        record = run_job(jobs, job, partial(_import_and_run, place), heartbeat_s=heartbeat_s)
    except KeyboardInterrupt:
        return AttemptExit.STOPPED
    except JobStoppedError as error:
        _LOG.info("job %s stops: %s", job, error)
        return AttemptExit.STOPPED if _is_own_record(jobs, job) else AttemptExit.SUPERSEDED
    except StoreError as error:
        _LOG.error("job %s: %s", job, error)
        return AttemptExit.UNREACHABLE
    except DapError as error:
        _LOG.error("job %s failed: %s", job, error)
        return AttemptExit.FAILED
    except Exception:  # noqa: BLE001 - whatever it is, its record has it
        _LOG.exception("job %s failed unexpectedly", job)
        return AttemptExit.FAILED
    return _CODES.get(record.state, AttemptExit.FAILED)


def _import_and_run(place: Place, spec: JobSpec, context: JobContext) -> Outcome:
    return find_runner(spec)(place(spec), context)


def _is_own_record(jobs: JobStore, job: str) -> bool:
    """Whether the highest attempt is the one of this process."""
    record = jobs.read_record(job)
    return record is not None and (record.pid, record.host) == (os.getpid(), socket.gethostname())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs an attempt as the command line says, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", metavar="ROOT", help="local folder or s3://bucket/prefix that holds jobs/")
    parser.add_argument("job", metavar="JOB", help="id of the job")
    parser.add_argument("--heartbeat-s", type=float, default=HEARTBEAT_S, help="seconds between two records")
    parser.add_argument("--nice", type=int, default=NICENESS, help="how far it gives way to other processes, 0 to 19")
    parser.add_argument("--attempt", type=int, help="run no other than the one of this number")
    parser.add_argument("--ray", metavar="ADDRESS", help="the cluster of labelers and workers; else a Ray of its own")
    parser.add_argument("--max-labelers", type=int, default=1, help="on that cluster, where the job does not say")
    parser.add_argument("--gpus", type=float, default=0.0, help="GPUs of this process or of each labeler and worker")
    given = parser.parse_args(arguments)
    os.nice(given.nice)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    place: Place = lambda spec: spec  # noqa: E731
    if given.ray:
        place = partial(place_on_ray, address=given.ray, max_labelers=given.max_labelers, gpus=given.gpus)
    return int(run_attempt(given.root, given.job, heartbeat_s=given.heartbeat_s, place=place, number=given.attempt))


if __name__ == "__main__":
    raise SystemExit(main())
