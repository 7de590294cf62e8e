"""How long a job takes, from how fast the last one of its sort was on the same service."""

from __future__ import annotations

from dataclasses import dataclass

from services.jobs.job_desk import JobDesk
from services.jobs.job_index import JobFilter
from services.jobs.ownership import Caller
from services.jobs.specs import ClassifierFields, EngineFields, JobSpec, MineSpec

_NUM_LOOKED_AT = 20
_LEAST_IMAGES = 20
"""Of fewer images the start is most of what was measured."""
_ALIKE = {*ClassifierFields.model_fields, *EngineFields.model_fields, "short_sides", "labelers", "ray"}
"""What takes time; all recipes run the same passes, and cutting is a small part."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a job was."""

    job: str
    images_per_s: float
    start_up_s: float

    def estimate_s(self, num_images: int) -> float:
        """Seconds for so many images, from the start of the job."""
        return self.start_up_s + num_images / self.images_per_s

    def describe(self) -> str:
        """The pace in words."""
        return f"job {self.job}, which labelled {self.images_per_s:g} images/s"


def find_pace(desk: JobDesk, caller: Caller, spec: JobSpec) -> Pace | None:
    """The pace of the newest job of kind mine that ran the same network on the same machines; None without one.

    Only the caller's jobs are looked at, the last 20 of them. Raises StoreError.
    """
    if not isinstance(spec, MineSpec):
        return None
    for one in desk.list_jobs(caller, JobFilter(kind=spec.kind, limit=_NUM_LOOKED_AT)):
        view = desk.get(caller, one.id)
        result = (view.record.result if view.record else None) or {}
        is_alike = view.spec.model_dump(include=_ALIKE) == spec.model_dump(include=_ALIKE)
        if is_alike and result.get("mined_now", 0) >= _LEAST_IMAGES and result["images_per_s"]:
            return Pace(one.id, result["images_per_s"], result["start_up_s"])
    return None
