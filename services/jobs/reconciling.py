"""Jobs that are in the store get run, whoever dies: started in order, watched, taken over, given up.

reconciler/queue.json        why jobs wait, by id; written by the reconciler alone
reconciler/starting.json     jobs that were started and have written no record yet
reconciler/marks/<name>      that a reconciler is at work

All is right without locks: of two attempts at one job the lower one stops, and what a job commits is safe by itself.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event

from dap_core.errors import DapError, InputError, JobRecordError, ObjectMissingError, StoreError
from services.jobs.job_facts import JobFacts, list_all_facts, list_facts
from services.jobs.job_store import JobStore
from services.jobs.job_views import QUEUE_KEY, read_fresh_record
from services.jobs.jobs_summary import OnPass, summarize
from services.jobs.launchers import Launcher
from services.jobs.ownership import read_ownership
from services.jobs.queueing import JobLimits, WaitingJob, plan_queue
from services.jobs.reconciler_marks import Moment, ReconcilerMark
from services.jobs.records import JobRecord, JobState
from services.jobs.runs import NoRunner, Run, is_unchanged, read_starting, write_starting
from services.jobs.standing import Judgement, Standing, is_cancel_left_behind, judge, was_interrupted
from services.jobs.takeovers import close_job, count_idle, read_attempts

_SHARE_OF_TIME = 20.0
"""The whole store is listed at most for a twentieth of the time."""
_LONGEST_PAUSE_S = 60.0
_LOG = logging.getLogger(__name__)
_Signature = tuple[str, str, frozenset[int], frozenset[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerOptions:
    """When a job is taken over, and when it is given up; in seconds."""

    limits: JobLimits = field(default_factory=JobLimits)
    stale_s: float = 60.0
    """A runner of which nothing was heard for so long is gone, by the clock of the store."""
    max_idle: int = 5
    """A job is given up after so many lost attempts in a row that got no further."""
    retry_pause_s: float = 2.0
    """Pause after the first of those; it doubles with each, up to a minute."""
    lease_s: float = 15.0
    """When another reconciler on the same store takes its turn after the last sign of the one that acts."""
    survey_s: float = 2.0
    """Least time from one listing of all jobs to the next."""
    pass_s: float = 1.0
    """Pause between two passes."""


class Reconciler:
    """Runs the jobs of one store; `step` is for one thread. Of several reconcilers on a store one acts."""

    def __init__(self, jobs: JobStore, launcher: Launcher, options: ReconcilerOptions | None = None) -> None:
        """Reads nothing yet."""
        self._jobs, self._store, self._launcher = jobs, jobs.store, launcher
        self._options = options or ReconcilerOptions()
        self._mark = ReconcilerMark(self._store, self._options.lease_s)
        self._moment = Moment(0.0, float("-inf"), is_leader=False)
        self._runs: dict[str, Run] = {}
        self._waiting: dict[str, WaitingJob] = {}
        self._ended: dict[str, tuple[_Signature, JobState | None]] = {}
        self._num_ended: Counter[tuple[str, str]] = Counter()
        self._survey_due = float("-inf")
        self._queue: dict[str, str] | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this is the reconciler that acts, as of its last pass."""
        return self._moment.is_leader

    def run(self, until: Event, on_pass: OnPass = lambda _: None) -> None:
        """Makes one pass after the other; a store that fails is asked again. Runners go on after the end.

        `on_pass` hears of each what it found.
        """
        while not until.wait(self._options.pass_s):
            try:
                self.step()
            except DapError as error:
                _LOG.warning("jobs could not be looked after: %s", error)
            else:
                on_pass(summarize(self._waiting.values(), self._runs.values(), self._num_ended))
        with suppress(StoreError):
            self._mark.remove()

    def stop_runners(self, within_s: float = 30.0) -> None:
        """Has those that were started here stop in order, and kills them after `within_s`; the jobs go on later."""
        runners = [run.runner for run in self._runs.values() if run.runner]
        for runner in runners:
            runner.stop()
        deadline = time.monotonic() + within_s
        while any(runner.poll() is None for runner in runners) and time.monotonic() < deadline:
            time.sleep(0.05)
        for runner in runners:
            runner.kill()

    def step(self) -> None:
        """One pass: looks at what runs and what is new, and starts what may be started. Raises StoreError."""
        led = self._moment.is_leader
        self._moment = self._mark.look()
        if not self._moment.is_leader:
            return
        if not led:
            self._begin_leading()
        if time.monotonic() >= self._survey_due:
            self._survey()
        for run in list(self._runs.values()):
            with _guarding(run.id):
                self._attend(run)
        self._start_waiting()

    def _begin_leading(self) -> None:
        """Forgets what another one may have changed; what was just started by it is given time to write a record."""
        self._runs = {job: run for job, run in self._runs.items() if run.runner}
        for job, base in read_starting(self._store, self._moment.now - self._options.stale_s).items():
            with _guarding(job):
                self._runs.setdefault(job, Run(job, self._jobs.read_spec(job).kind, base=base))
        self._queue, self._survey_due = None, float("-inf")

    def _survey(self) -> None:
        began = time.monotonic()
        found = list_all_facts(self._store)
        changed = [one for one in found.values() if one.id not in self._runs and self._is_changed(one)]
        with ThreadPoolExecutor(max(1, self._store.num_parallel_reads)) as pool:
            records = list(pool.map(self._read_record, changed))
        for facts, record in zip(changed, records, strict=True):
            self._ended[facts.id] = _sign(facts), None  # left alone until it changes, if it is damaged
            with _guarding(facts.id):
                self._sort(facts, _unwrap(record))
        self._waiting = {job: one for job, one in self._waiting.items() if job in found}
        now = time.monotonic()
        self._survey_due = now + max(self._options.survey_s, _SHARE_OF_TIME * (now - began))

    def _is_changed(self, facts: JobFacts) -> bool:
        known = self._ended.get(facts.id)
        return known is None or known[0] != _sign(facts)

    def _read_record(self, facts: JobFacts) -> JobRecord | JobRecordError | None:
        try:
            return read_fresh_record(self._store, facts)
        except JobRecordError as error:
            return error

    def _sort(self, facts: JobFacts, record: JobRecord | None) -> None:
        """Puts a job where it belongs that is not known to run."""
        judgement = self._judge(facts, record)
        if judgement.standing in (Standing.RUNS, Standing.LOST):
            run = Run(facts.id, self._find_kind(facts), base=facts.attempt - 1)
            run.note(facts, record)
            self._waiting.pop(facts.id, None)
            self._ended.pop(facts.id, None)
            self._runs[facts.id] = run
        self._act(judgement, facts, record)

    def _attend(self, run: Run) -> None:
        """Looks after a job that runs."""
        end = run.find_end()
        oldest = self._moment.now - self._options.stale_s
        if end is None and run.lost is None and is_unchanged(self._store, run, oldest):
            return
        facts = list_facts(self._store, run.id)
        record = read_fresh_record(self._store, facts)
        run.note(facts, record)
        if run.is_unborn:
            self._attend_unborn(run, facts, record)
            return
        end = run.find_end()
        self._act(self._judge(facts, record, run.lost or (end.reason if end else None)), facts, record)

    def _attend_unborn(self, run: Run, facts: JobFacts, record: JobRecord | None) -> None:
        """Looks after a job that was started and has written no record yet."""
        reason = run.lost
        if reason is None:
            end = run.runner.poll() if run.runner else None
            if run.explain_waiting() is not None:
                self._attend_waiting(run, facts, record)
                return
            waited_s = time.monotonic() - run.launched_at
            if end is None and waited_s <= self._options.stale_s:
                return
            run.stillborn += 1
            reason = end.reason if end else f"it wrote no record for {waited_s:.0f} s"
        judgement = self._judge(facts, record, reason)
        if judgement.standing in (Standing.STOPS, Standing.ENDED):
            self._act(judgement, facts, record)
        else:
            self._lose(run, facts, record, reason)

    def _attend_waiting(self, run: Run, facts: JobFacts, record: JobRecord | None) -> None:
        """Looks after a job whose runner has no room yet."""
        run.launched_at = time.monotonic()
        judgement = self._judge(facts, record)
        if judgement.standing in (Standing.STOPS, Standing.ENDED) and run.runner:
            run.runner.kill()
            self._act(judgement, facts, record)

    def _judge(self, facts: JobFacts, record: JobRecord | None, runner_end: str | None = None) -> Judgement:
        silent_s = self._measure_silence(facts)
        return judge(facts, record, runner_end=runner_end, silent_s=silent_s, stale_s=self._options.stale_s)

    def _act(self, judgement: Judgement, facts: JobFacts, record: JobRecord | None) -> None:
        """Does what a judgement asks for; a job whose runner is just leaving is left to it."""
        standing, run = judgement.standing, self._runs.get(facts.id)
        if standing is Standing.RUNS and is_cancel_left_behind(facts, record):
            self._jobs.request_cancel(facts.id)
        elif standing is Standing.LOST and run:
            self._lose(run, facts, record, judgement.reason)
        elif standing is Standing.STOPS:
            self._close(facts, record, JobState.CANCELLED, judgement.reason)
        elif standing in (Standing.ENDED, Standing.WAITS) and run and self._is_leaving(run, facts):
            return
        elif standing is Standing.ENDED:
            self._forget(facts, record)
        elif standing is Standing.WAITS:
            self._waiting[facts.id] = self._describe_waiting(facts)
            self._runs.pop(facts.id, None)
            self._ended.pop(facts.id, None)

    def _is_leaving(self, run: Run, facts: JobFacts) -> bool:
        """Whether the runner of an attempt that has ended is there; after a while it is killed."""
        if run.runner and self._measure_silence(facts) > self._options.stale_s:
            run.runner.kill()
        return run.runner is not None and run.runner.poll() is None

    def _lose(self, run: Run, facts: JobFacts, record: JobRecord | None, reason: str) -> None:
        """Sees to a job whose attempt will not end: once more after a pause, or no more."""
        if run.lost is None:
            if run.runner:
                run.runner.kill()  # it may only be suspended
            idle = run.stillborn + count_idle(read_attempts(self._store, facts))
            if idle >= self._options.max_idle:
                self._give_up(facts, record, idle, reason)
                return
            _LOG.info("job %s is taken over: %s", run.id, reason)
            is_at_once = idle == 0 or (record is not None and was_interrupted(record))
            pause_s = 0.0 if is_at_once else min(_LONGEST_PAUSE_S, self._options.retry_pause_s * 2.0 ** (idle - 1))
            run.lost, run.due = reason, time.monotonic() + pause_s
        if time.monotonic() >= run.due:
            self._launch(run, facts.attempt)

    def _launch(self, run: Run, base: int) -> None:
        run.begin(None, base)
        write_starting(self._store, self._runs.values())
        try:
            run.runner = self._launcher.start(run.id, base + 1)
        except OSError as error:
            run.runner = NoRunner(f"no runner could be started: {error}")

    def _give_up(self, facts: JobFacts, record: JobRecord | None, idle: int, reason: str) -> None:
        message = (
            f"its runner was lost {idle} times in a row without getting further, the last time: {reason}; "
            f"what was committed stays, and resuming the job tries again (logs: jobs/{facts.id}/logs/)"
        )
        self._close(facts, record, JobState.FAILED, message, error_type="runner-lost")

    def _close(
        self, facts: JobFacts, record: JobRecord | None, state: JobState, message: str, error_type: str | None = None
    ) -> None:
        close_job(self._jobs, facts.id, state, message, last=record, error_type=error_type)
        closed = list_facts(self._store, facts.id)
        self._forget(closed, read_fresh_record(self._store, closed))

    def _forget(self, facts: JobFacts, record: JobRecord | None) -> None:
        if (run := self._runs.pop(facts.id, None)) and record:
            self._num_ended[run.kind, record.state] += 1
        self._waiting.pop(facts.id, None)
        self._ended[facts.id] = _sign(facts), record.state if record else None

    def _start_waiting(self) -> None:
        """Starts what may be started, after word was left of it, and says why the rest waits."""
        kinds = [run.kind for run in self._runs.values()]
        plan = plan_queue(self._waiting.values(), kinds, self._options.limits, self._find_state)
        unplaced = {run.id: reason for run in self._runs.values() if (reason := run.explain_waiting())}
        if (reasons := plan.reasons | unplaced) != self._queue:
            self._store.put(QUEUE_KEY, json.dumps(reasons, indent=2).encode())
            self._queue = reasons
        for job in plan.start:
            with _guarding(job.id):
                self._start(job)

    def _start(self, job: WaitingJob) -> None:
        """Starts a job, unless it is no longer as it was when it was last looked at."""
        facts = list_facts(self._store, job.id)
        record = read_fresh_record(self._store, facts)
        del self._waiting[job.id]
        if self._judge(facts, record).standing is not Standing.WAITS:
            self._sort(facts, record)
            return
        if record is None and 0 in facts.cancels:  # and it was resumed since
            self._store.delete(f"jobs/{job.id}/cancel/0000")
        run = self._runs[job.id] = Run(job.id, job.kind)
        run.note(facts, record)
        self._launch(run, facts.attempt)

    def _describe_waiting(self, facts: JobFacts) -> WaitingJob:
        known = self._waiting.get(facts.id)
        if known and known.attempt == facts.attempt:
            return known
        owned = read_ownership(self._store, facts.id)
        return WaitingJob(
            id=facts.id,
            kind=self._find_kind(facts),
            submitted=facts.spec.modified if facts.spec else 0.0,
            attempt=facts.attempt,
            after=owned.after if owned else (),
        )

    def _find_kind(self, facts: JobFacts) -> str:
        return self._jobs.read_spec(facts.id).kind

    def _find_state(self, job: str) -> JobState | None:
        if job in self._runs:
            return JobState.RUNNING
        return JobState.QUEUED if job in self._waiting else self._ended.get(job, (None, None))[1]

    def _measure_silence(self, facts: JobFacts) -> float:
        """How long nothing was heard of a job, in seconds, while something could have been heard."""
        heard = facts.record.modified if facts.record else self._moment.now
        return self._moment.now - max(heard, self._moment.since)


@contextmanager
def _guarding(job: str) -> Iterator[None]:
    """What is wrong with one job does not keep the others waiting."""
    try:
        yield
    except (InputError, JobRecordError, ObjectMissingError) as error:
        _LOG.warning("job %s: %s", job, error)


def _unwrap(record: JobRecord | JobRecordError | None) -> JobRecord | None:
    """The record, where it could be read. Raises JobRecordError."""
    if isinstance(record, JobRecordError):
        raise record
    return record


def _sign(facts: JobFacts) -> _Signature:
    """Tells whether anything about a job has changed."""
    etag = facts.record.etag if facts.record else ""
    return facts.attempt_name or "", etag, frozenset(facts.resumes), frozenset(facts.cancels)
