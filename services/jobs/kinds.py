"""What runs each kind of job."""

from __future__ import annotations

from services.jobs.runner import RunKind
from services.jobs.specs import JobSpec, MineSpec


def find_runner(spec: JobSpec) -> RunKind:
    """The code that does what a spec asks for; imported only now, as it is heavy."""
    if isinstance(spec, MineSpec):
        from services.jobs.mining import run_mine

        return run_mine
    raise NotImplementedError(f"nothing runs jobs of kind {spec.kind}")
