"""What runs each kind of job."""

from __future__ import annotations

from importlib import import_module

from services.jobs.runner import RunKind
from services.jobs.specs import JobSpec

_RUNNERS = {"mine": ("services.jobs.mining", "run_mine")}


def find_runner(spec: JobSpec) -> RunKind:
    """The code that does what a spec asks for; imported only now, as it is heavy."""
    module, name = _RUNNERS[spec.kind]
    run: RunKind = getattr(import_module(module), name)
    return run
