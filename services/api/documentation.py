"""What the OpenAPI document says beyond what the routes themselves tell."""

from __future__ import annotations

from typing import Any

from services.api.answers import ProblemAnswer
from services.api.parameters import BoxesParams
from services.api.problems import CONTENT_TYPE, PROBLEMS

_BINARY = {"type": "string", "format": "binary"}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that may end with a problem of these statuses."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        slugs = [slug for slug, kind in PROBLEMS.items() if kind.status == status]
        assert slugs, status
        schema = {"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}
        found[status] = {"description": ", ".join(slugs), "content": {CONTENT_TYPE: {"schema": schema}}}
        if status == 503:
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return found


def _describe_parameters() -> list[dict[str, Any]]:
    """The query parameters of an image that is sent alone."""
    schema = BoxesParams.model_json_schema()["properties"]
    schema["labels"] = {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "maxItems": 100,
        "example": ["auto"],
        "description": "Classes in the image by name, wnid or index; auto takes what the classifier says.",
    }
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": one["description"],
            "schema": {key: value for key, value in one.items() if key not in {"title", "description"}},
        }
        for name, one in schema.items()
    ]


BOXES_PARAMETERS = _describe_parameters()
BOXES_REQUEST: dict[str, Any] = {
    "required": True,
    "content": {
        "image/jpeg": {"schema": _BINARY},
        "image/png": {"schema": _BINARY},
        "image/webp": {"schema": _BINARY},
        "image/gif": {"schema": _BINARY},
        "application/octet-stream": {"schema": _BINARY},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["images"],
                "additionalProperties": False,
                "properties": {
                    "images": {"type": "array", "minItems": 1, "maxItems": 32, "items": _BINARY},
                    "params": BoxesParams.model_json_schema(),
                },
            },
            "encoding": {"params": {"contentType": "application/json"}},
        },
    },
}
