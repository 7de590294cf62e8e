"""What people who cannot log in to the service may ask of it: which places, and how many processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.jobs.refusals import JobRefusedError
from services.jobs.spec_places import NamedPlace, lies_inside, list_inputs, list_outputs
from services.jobs.specs import JobSpec
from services.storage import is_remote

_OWN_FOLDERS = ("jobs", "keys", "outputs", "reconciler")
_FILES = {"weights": "a name of published weights", "classes": "the classes of a trained classifier"}
_COUNTS = ("labelers", "workers", "decoders")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPolicy:
    """What jobs of a service may name; the record of a job that passes is run as it is."""

    places: tuple[str, ...]
    """`s3://bucket/prefix`, or folders of the service's machine; jobs read and write below these alone."""
    root: str
    """The service's own store, whose records no job touches."""
    max_processes: int = 16
    """Labelers, workers or decoders that a job may ask for."""

    def check(self, spec: JobSpec) -> None:
        """Raises JobRefusedError for a place outside, a local file, an address of Ray, or too many processes."""
        for named in list_outputs(spec) + list_inputs(spec):
            self._check_place(named)
        for name, instead in _FILES.items():
            value = getattr(spec, name, None)
            if value is not None and (name == "classes" or "/" in value or "." in value):
                detail = f"{name} is a file of the machine that runs the job; over HTTP give {instead}"
                raise JobRefusedError("place-not-allowed", detail, pointer=f"/{name}")
        if getattr(spec, "ray", None) is not None:
            detail = "the service chooses where a job runs; leave out ray"
            raise JobRefusedError("field-not-allowed", detail, pointer="/ray")
        for name in _COUNTS:
            self._check_count(name, getattr(spec, name, None))

    def allows(self, place: str) -> bool:
        """Whether jobs may read and write there."""
        own = [f"{self.root.rstrip('/')}/{name}" for name in _OWN_FOLDERS]
        is_inside = any(_is_same_or_below(place, root) for root in self.places)
        return is_inside and not any(lies_inside(place, one) or lies_inside(one, place) for one in own)

    def describe(self) -> dict[str, Any]:
        """What is allowed, as JSON values."""
        return {"places": list(self.places), "max_processes": self.max_processes}

    def _check_place(self, named: NamedPlace) -> None:
        if not self.allows(named.place):
            raise JobRefusedError("place-not-allowed", self._explain(named.place), pointer=named.pointer)

    def _explain(self, place: str) -> str:
        if not self.places:
            return "this service runs no jobs on any place; its setting job_places names those it may use"
        allowed = " or ".join(self.places)
        if is_remote(place):
            return f"{place} is none of the places of this service; jobs read and write below {allowed}"
        name = place.rstrip("/").rpartition("/")[2] or "data"
        target = f"{self.places[0].rstrip('/')}/{name}"
        return (
            f"{place} is a local path, and jobs of this service read and write below {allowed}; "
            f"copy it there with: dap cp {place} {target}"
        )

    def _check_count(self, name: str, value: int | None) -> None:
        if value is not None and value > self.max_processes:
            detail = f"a job of this service has at most {self.max_processes} {name}, got {value}"
            raise JobRefusedError("field-not-allowed", detail, pointer=f"/{name}")


def _is_same_or_below(place: str, root: str) -> bool:
    """Whether a place is allowed by a root; a relative path never is, as it means another folder elsewhere."""
    return (is_remote(place) or place.startswith("/")) and lies_inside(place, root)
