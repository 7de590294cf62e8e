"""Where a job's inputs come from: the jobs whose outputs they are, found by comparing places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.jobs.index_snapshot import IndexedJob
from services.jobs.spec_places import is_network_name, list_outputs, split_place
from services.jobs.specs import JobSpec

Parts = tuple[str, ...]
_ROLES = {
    "label_set": "labels",
    "checkpoint": "checkpoint",
    "classifier": "classifier",
    "start": "classifier",
    "data": "data",
    "images": "data",
    "source": "data",
}
"""By the fields of training jobs."""
MAX_PARENTS = 20


@dataclass(frozen=True, slots=True)
class Parent:
    """What a model was made from; a network that has only a name has no parts."""

    role: str
    place: str
    parts: Parts


@dataclass(frozen=True, slots=True)
class Maker:
    """A job that may have made what others read."""

    id: str
    created: str


class Makers:
    """Jobs by the places of their outputs."""

    def __init__(self, jobs: Iterable[tuple[IndexedJob, tuple[Parts, ...]]]) -> None:
        self._by_place: dict[Parts, list[Maker]] = {}
        for job, outputs in jobs:
            for parts in outputs:
                self._by_place.setdefault(parts, []).append(Maker(job.id, job.created))

    def find(self, parent: Parent, job: str, created: str, after: tuple[str, ...]) -> str | None:
        """The job that made a parent of `job`: one that it waited for, else the newest that is not younger.

        The output may be a folder above the place; the nearest one counts.
        """
        for length in range(len(parent.parts), 1, -1):
            makers = [one for one in self._by_place.get(parent.parts[:length], ()) if one.id != job]
            awaited = [one for one in makers if one.id in after]
            older = awaited or [one for one in makers if one.created <= created]
            if older:
                return max(older, key=lambda one: (one.created, one.id)).id
        return None


def list_output_parts(spec: JobSpec) -> tuple[Parts, ...]:
    """Where a job writes, as parts of places."""
    return tuple(split_place(one.place) for one in list_outputs(spec))


def list_parents(spec: JobSpec) -> tuple[Parent, ...]:
    """What a training job reads that makes its model what it is, at most `MAX_PARENTS`."""
    return tuple(_make_parents(spec.model_dump()))[:MAX_PARENTS]


def _make_parents(values: Mapping[str, Any]) -> Iterator[Parent]:
    for name, role in _ROLES.items():
        value = values.get(name)
        for place in value if isinstance(value, list | tuple) else [value]:
            if place is not None:
                is_name = role == "classifier" and is_network_name(place)
                yield Parent(role, place, () if is_name else split_place(place))
