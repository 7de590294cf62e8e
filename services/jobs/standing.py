"""How a job stands, as its objects and its runner tell: it waits, runs, has ended, or has lost its runner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from services.jobs.job_facts import JobFacts
from services.jobs.records import ENDED, INTERRUPTED, JobRecord, JobState


class Standing(Enum):
    """What is to be done about a job."""

    ENDED = auto()
    """Nothing."""
    WAITS = auto()
    """Another attempt is to be started when there is a place."""
    RUNS = auto()
    """Watch it."""
    LOST = auto()
    """Its attempt will not end: it is to be taken over."""
    STOPS = auto()
    """It is to be told that it was stopped, as nobody runs it who could."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a job stands, and why where it is lost or stops."""

    standing: Standing
    reason: str = ""


def judge(
    facts: JobFacts, record: JobRecord | None, *, runner_end: str | None = None, silent_s: float = 0.0, stale_s: float
) -> Judgement:
    """How a job stands whose highest attempt has this record.

    `runner_end` is how the runner of that attempt ended, if that is known; `silent_s` the age of the record. A job that
    was not submitted to a service is run by whoever submitted it, unless another attempt was asked for.
    """
    if facts.owner is None and not facts.resumes:
        return Judgement(Standing.ENDED)
    if record is None:
        return _judge_first(facts)
    if record.state in ENDED:
        return _judge_ended(facts, record)
    reason = runner_end
    if reason is None and silent_s > stale_s:
        reason = f"nothing was heard of its runner for {silent_s:.0f} s"
    if reason is None:
        return Judgement(Standing.RUNS)
    if facts.is_cancel_asked(None):
        return Judgement(Standing.STOPS, f"it was asked to stop, and its runner was gone ({reason})")
    return Judgement(Standing.LOST, reason)


def is_cancel_left_behind(facts: JobFacts, record: JobRecord | None) -> bool:
    """Whether a request to stop went to the attempt before, as the running one was just beginning."""
    if record is None or record.state in ENDED or facts.attempt < 2:
        return False
    before = facts.attempt - 1
    return before in facts.cancels and before not in facts.resumes and facts.attempt not in facts.cancels


def _judge_first(facts: JobFacts) -> Judgement:
    if facts.is_cancel_asked(None) and 0 not in facts.resumes:
        return Judgement(Standing.STOPS, "it was asked to stop before it began")
    return Judgement(Standing.WAITS)


def _judge_ended(facts: JobFacts, record: JobRecord) -> Judgement:
    if record.state == JobState.SUCCEEDED or facts.attempt + 1 in facts.cancels:
        return Judgement(Standing.ENDED)
    if facts.attempt in facts.resumes:
        return Judgement(Standing.WAITS)
    if was_interrupted(record) and not facts.is_cancel_asked(None):
        return Judgement(Standing.LOST, INTERRUPTED)
    return Judgement(Standing.ENDED)


def was_interrupted(record: JobRecord) -> bool:
    """Whether the process of an attempt was told to stop by its environment, such as when a machine shuts down."""
    return record.state == JobState.CANCELLED and record.message == INTERRUPTED
