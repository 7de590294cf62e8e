"""Jobs as they come in a request: one spec, or a list whose jobs name earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dap_core.errors import InputError
from dap_core.recipes import RECIPES
from dap_core.training.classifier_recipe import CLASSIFIER_RECIPES
from dap_core.training.finetune_recipes import FINETUNE_ENTRIES, SELF_TRAIN_ENTRIES
from dap_core.training.pretrain_recipes import PRETRAIN_ENTRIES
from services.api.parameters import explain_invalid
from services.api.problems import ProblemError, make_pointer
from services.jobs.job_desk import Draft
from services.jobs.kinds import KINDS
from services.jobs.pipelines import FindSpec, PipelineError, find_makers, resolve_references
from services.jobs.spec_places import NAMES_OR_PLACES, find_place_fields, is_place
from services.jobs.specs import JobSpec

MAX_JOBS = 20
_REFERENCE = "JobReference"
_RECIPES = {
    "mine": list(RECIPES),
    "recut": list(RECIPES),
    "train-classifier": list(CLASSIFIER_RECIPES),
    "pretrain": [entry.name for entry in PRETRAIN_ENTRIES],
    "finetune": [entry.name for entry in FINETUNE_ENTRIES],
    "self-train": [entry.name for entry in SELF_TRAIN_ENTRIES],
}
"""The recipes of each kind that takes one."""


def read_drafts(values: Any, find: FindSpec) -> list[Draft]:
    """The jobs of a request, in order; `find` gives the specs of jobs that are named by id.

    Raises ProblemError pointing at each value that is wrong.
    """
    if not isinstance(values, list):
        return [_read_draft(values, [], find, "#")]
    if not 1 <= len(values) <= MAX_JOBS:
        detail = f"a list has 1 to {MAX_JOBS} jobs, got {len(values)}"
        raise ProblemError("invalid-parameter", detail, errors=[("#/", detail)])
    drafts: list[Draft] = []
    for number, one in enumerate(values):
        drafts.append(_read_draft(one, [draft.spec for draft in drafts], find, f"#/{number}"))
    return drafts


def _read_draft(values: Any, earlier: Sequence[JobSpec], find: FindSpec, root: str) -> Draft:
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        detail = f'a job is an object with "kind": one of {", ".join(KINDS)}'
        raise ProblemError("invalid-parameter", detail, errors=[(make_pointer(root, "kind"), detail)])
    try:
        resolved = resolve_references(values, earlier, find)
        spec = KINDS[kind].model_validate(resolved.values)
    except PipelineError as error:
        found = [(root + error.pointer, str(error))]
        raise ProblemError("invalid-parameter", str(error), errors=found) from None
    except InputError as error:  # of a place; pydantic lets it pass
        found = [(root + _find_bad_place(kind, resolved.values), str(error))]
        raise ProblemError("invalid-parameter", str(error), errors=found) from None
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise explain_invalid(errors, root, list(KINDS[kind].model_fields)) from None
    return Draft(spec, tuple(dict.fromkeys((*resolved.after, *find_makers(spec, earlier)))), root)


def _find_bad_place(kind: str, values: dict[str, Any]) -> str:
    """The JSON pointer, below the spec, of the first place that is none."""
    for name in sorted(find_place_fields(kind) & set(values)):
        value = values[name]
        listed = [(f"/{name}/{index}", one) for index, one in enumerate(value)] if isinstance(value, list) else []
        for pointer, one in listed or [(f"/{name}", value)]:
            if isinstance(one, str) and not is_place(one):
                return pointer
    return "/"


def describe_specs() -> dict[str, Any]:
    """The JSON schemas of all kinds of jobs by their names, with references to earlier jobs in place of places."""
    union: TypeAdapter[Any] = TypeAdapter(_unite(list(KINDS.values())))
    schemas: dict[str, Any] = union.json_schema(ref_template="#/components/schemas/{model}")["$defs"]
    for kind, model in KINDS.items():
        schema = schemas[model.__name__]
        schema["required"] = sorted({*schema.get("required", ()), "kind"})
        for name in (find_place_fields(kind) | NAMES_OR_PLACES) & set(schema["properties"]):
            _allow_references(schema["properties"][name])
        if kind in _RECIPES:
            schema["properties"]["recipe"]["examples"] = _RECIPES[kind]
    schemas[_REFERENCE] = {
        "type": "object",
        "description": "Where an earlier job writes: its number in the list, or its id.",
        "required": ["job"],
        "additionalProperties": False,
        "properties": {"job": {"type": ["integer", "string"]}, "output": {"type": "string", "default": "out"}},
    }
    return schemas


def describe_body() -> dict[str, Any]:
    """The request body of a route that takes jobs."""
    one = {"anyOf": [{"$ref": f"#/components/schemas/{model.__name__}"} for model in KINDS.values()]}
    several = {"type": "array", "minItems": 1, "maxItems": MAX_JOBS, "items": one}
    return {"required": True, "content": {"application/json": {"schema": {"anyOf": [one, several]}}}}


def _unite(models: list[type[JobSpec]]) -> Any:
    united: Any = models[0]
    for model in models[1:]:
        united = united | model
    return united


def _allow_references(schema: dict[str, Any]) -> None:
    reference = {"$ref": f"#/components/schemas/{_REFERENCE}"}
    if schema.get("type") == "array":
        schema["items"] = {"anyOf": [schema["items"], reference]}
        return
    given = {name: schema.pop(name) for name in list(schema) if name not in {"title", "description", "default"}}
    schema["anyOf"] = [*given.get("anyOf", [given]), reference]
