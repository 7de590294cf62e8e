"""Jobs that name earlier jobs: `{"job": 0}` in the place of a place is where job 0 of the list writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dap_core.errors import JobMissingError
from services.jobs.kinds import KINDS
from services.jobs.spec_places import NAMES_OR_PLACES, find_place_fields, lies_inside, list_inputs, list_outputs
from services.jobs.specs import JobSpec

_REFERENCE_KEYS = {"job", "output"}
FindSpec = Callable[[str], JobSpec]
"""The spec of a job by its id. Raises JobMissingError."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values of a spec with places for references, and which jobs they named: numbers of the list, or ids."""

    values: dict[str, Any]
    after: tuple[int | str, ...] = ()


@dataclass(slots=True)
class _Resolver:
    earlier: Sequence[JobSpec]
    find: FindSpec
    after: list[int | str] = field(default_factory=list)

    def resolve(self, pointer: str, value: Any) -> Any:
        """A value in which places stand for references."""
        if isinstance(value, list):
            return [self.resolve(f"{pointer}/{index}", one) for index, one in enumerate(value)]
        return self._find_place(pointer, value) if isinstance(value, dict) else value

    def _find_place(self, pointer: str, reference: Mapping[str, Any]) -> str:
        job = reference.get("job")
        spec = self._find_spec(pointer, job)
        if job not in self.after:
            self.after.append(job)  # type: ignore[arg-type]
        outputs = {one.pointer.removeprefix("/"): one.place for one in list_outputs(spec)}
        name = reference.get("output", "out")
        if set(reference) - _REFERENCE_KEYS or name not in outputs:
            names = ", ".join(outputs) or "none"
            raise PipelineError(pointer, f"a job of kind {spec.kind} has the outputs: {names}; got {name!r}")
        return outputs[name]

    def _find_spec(self, pointer: str, job: Any) -> JobSpec:
        if isinstance(job, str):
            try:
                return self.find(job)
            except JobMissingError as error:
                raise PipelineError(pointer, str(error)) from None
        if isinstance(job, int) and not isinstance(job, bool) and 0 <= job < len(self.earlier):
            return self.earlier[job]
        detail = 'a place is a text, or {"job": N} with N a job that comes earlier in the list or the id of one'
        raise PipelineError(pointer, f"{detail}; got {job!r}")


class PipelineError(ValueError):
    """A reference to a job that means nothing; `pointer` says where."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


def resolve_references(values: Mapping[str, Any], earlier: Sequence[JobSpec], find: FindSpec) -> Resolved:
    """The values of a spec whose references are places; `earlier` are the specs before it in its list.

    Raises PipelineError for one that means nothing.
    """
    kind = values.get("kind")
    names = find_place_fields(kind) | NAMES_OR_PLACES if isinstance(kind, str) and kind in KINDS else frozenset()
    resolver = _Resolver(earlier, find)
    resolved = {name: resolver.resolve(f"/{name}", one) if name in names else one for name, one in values.items()}
    return Resolved(resolved, tuple(resolver.after))


def find_makers(spec: JobSpec, earlier: Sequence[JobSpec]) -> tuple[int, ...]:
    """The numbers of those earlier jobs whose output this one reads."""
    inputs = [one.place for one in list_inputs(spec)]
    return tuple(
        number
        for number, maker in enumerate(earlier)
        if any(lies_inside(place, one.place) for one in list_outputs(maker) for place in inputs)
    )
