"""The places that a spec names: what a job reads, what it writes, and whether one lies inside another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import AfterValidator

from dap_core.errors import InputError
from services.jobs.kinds import KINDS
from services.jobs.refusals import JobRefusedError
from services.jobs.specs import JobSpec, check_place
from services.storage import is_remote, split_s3_uri

_OUTPUTS = ("out", "labels")
NAMES_OR_PLACES = frozenset({"classifier", "start"})
"""Fields that hold the name of a network, or the place of a trained one."""
_NETWORK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A place, and the JSON pointer of the value that names it, below the spec."""

    pointer: str
    place: str


def find_place_fields(kind: str) -> frozenset[str]:
    """The fields of a kind of job that hold one place or several."""
    fields = KINDS[kind].model_fields
    return frozenset(name for name, field in fields.items() if _holds_place(field.annotation, field.metadata))


def list_inputs(spec: JobSpec) -> list[NamedPlace]:
    """What a job reads, by its places; networks that are named are not among them."""
    names = find_place_fields(spec.kind) - set(_OUTPUTS)
    found = [one for name in sorted(names) for one in _list_places(spec, name)]
    networks = [
        one for name in sorted(NAMES_OR_PLACES & set(type(spec).model_fields)) for one in _list_places(spec, name)
    ]
    return found + [one for one in networks if not is_network_name(one.place)]


def list_outputs(spec: JobSpec) -> list[NamedPlace]:
    """Where a job writes, the main place first."""
    names = find_place_fields(spec.kind)
    return [one for name in _OUTPUTS if name in names for one in _list_places(spec, name)]


def is_place(text: str) -> bool:
    """Whether a text is the place that it seems to be."""
    try:
        check_place(text)
    except InputError:
        return False
    return True


def is_network_name(text: str) -> bool:
    """Whether a classifier is a name such as timm/resnet50d, and can be nothing else, such as a path."""
    return _NETWORK.fullmatch(text) is not None


def refuse_overlaps(spec: JobSpec) -> None:
    """Raises JobRefusedError when a job would write into what it reads, or twice to one place."""
    outputs = list_outputs(spec)
    for output in outputs:
        for one in list_inputs(spec):
            if lies_inside(output.place, one.place):
                detail = f"the output {output.place} lies inside {one.place}, which is read; give one outside"
                raise JobRefusedError("output-overlaps-input", detail, pointer=output.pointer)
    if len(outputs) > 1 and overlap(outputs[0].place, outputs[1].place):
        detail = f"the outputs {outputs[0].place} and {outputs[1].place} overlap; give two places apart"
        raise JobRefusedError("output-overlaps-input", detail, pointer=outputs[1].pointer)


def lies_inside(place: str, root: str) -> bool:
    """Whether a place is `root` or lies below it; of local paths, where links lead counts."""
    parts, root_parts = split_place(place), split_place(root)
    return parts[: len(root_parts)] == root_parts


def overlap(first: str, second: str) -> bool:
    """Whether one of two places lies inside the other."""
    return lies_inside(first, second) or lies_inside(second, first)


def split_place(place: str) -> tuple[str, ...]:
    """A place in parts: the kind of its store, then bucket and prefix, or the path, part by part.

    Raises InputError for an address that is none.
    """
    if is_remote(place):
        bucket, prefix = split_s3_uri(place)
        return ("s3", bucket, *(prefix.split("/") if prefix else ()))
    return ("local", *(part for part in os.path.realpath(place).split("/") if part))


def _list_places(spec: JobSpec, name: str) -> Iterator[NamedPlace]:
    value = getattr(spec, name)
    if isinstance(value, tuple):
        yield from (NamedPlace(f"/{name}/{index}", place) for index, place in enumerate(value))
    elif value is not None:
        yield NamedPlace(f"/{name}", value)


def _holds_place(annotation: Any, metadata: Any = ()) -> bool:
    """Whether a type is `Place`, or has it in it."""
    if any(isinstance(one, AfterValidator) and one.func is check_place for one in metadata):
        return True
    nested = getattr(annotation, "__metadata__", ())
    return any(_holds_place(one, nested) for one in get_args(annotation) if one is not annotation)
