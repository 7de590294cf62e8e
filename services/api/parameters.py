"""The parameters of `POST /v1/boxes`, from JSON or from the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from starlette.datastructures import QueryParams

from dap_core.recipes import DEFAULT_RECIPE, RECIPES, Recipe, customise_recipe
from dap_core.types import AUTO
from services.api.problems import ProblemError, make_pointer

_MAX_LABELS, _MAX_LABEL_LENGTH, _MAX_ERRORS = 100, 200, 20
_LISTS = ("labels", "thresholds", "scales")

ImageLabels: TypeAlias = tuple[str, ...]
_Threshold: TypeAlias = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
_ShortSide: TypeAlias = Annotated[int, Field(ge=32, le=1024)]


def _read_labels(value: Any) -> ImageLabels | list[ImageLabels]:
    """The labels of every image, or of each."""
    if value == AUTO:
        return (AUTO,)
    if not isinstance(value, list) or not value:
        raise ValueError('labels are "auto", a list of labels, or a list of such lists; an empty list says nothing')
    if all(isinstance(item, list) for item in value):
        return [(AUTO,) if item == [AUTO] else _read_list(item) for item in value]
    return _read_list(value)


def _read_list(labels: list[Any]) -> ImageLabels:
    if not 1 <= len(labels) <= _MAX_LABELS:
        raise ValueError(f"an image has 1 to {_MAX_LABELS} labels, got {len(labels)}")
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | int) or len(str(label)) > _MAX_LABEL_LENGTH:
            raise ValueError(f"a label is a wnid, a class name or an index, got {str(label)[:_MAX_LABEL_LENGTH]!r}")
    return tuple(str(label) for label in labels)


def _refuse_null(value: Any) -> Any:
    if value is None:
        raise ValueError("null is no value; leave the parameter out")
    return value


def _check_distinct(scales: list[int]) -> list[int]:
    if len(set(scales)) < len(scales):
        raise ValueError(f"scales are different short sides, got {scales}")
    return scales


_Thresholds: TypeAlias = Annotated[list[_Threshold], Field(min_length=1, max_length=16)]
_Scales: TypeAlias = Annotated[
    list[_ShortSide],
    Field(min_length=1, max_length=4, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_check_distinct),
]
_Iou: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_NOT_NULL = BeforeValidator(_refuse_null)
_LIST_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "maxItems": _MAX_LABELS,
    "items": {"type": ["string", "integer"], "maxLength": _MAX_LABEL_LENGTH},
}
_LABELS_SCHEMA = {
    "description": 'Classes in the image by name, wnid or index; "auto" takes what the classifier says.',
    "anyOf": [
        {"const": "auto"},
        _LIST_SCHEMA,
        {"type": "array", "minItems": 1, "items": _LIST_SCHEMA},
    ],
}


def _describe_for_callers(schema: dict[str, Any]) -> None:
    """None stands for a parameter that was left out; JSON has no null for it."""
    schema["examples"] = [{"labels": ["Egyptian cat"], "nms_iou": 0.7, "cams": True}]
    for one in schema["properties"].values():
        if {"type": "null"} in one.get("anyOf", ()):
            one.update(one.pop("anyOf")[0])
            del one["default"]


class BoxesParams(BaseModel):
    """How images are labelled and boxes cut; what is left out is the recipe's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_describe_for_callers)

    labels: Annotated[Any, BeforeValidator(_read_labels), WithJsonSchema(_LABELS_SCHEMA)] = (AUTO,)
    recipe: Literal["aligned", "paper", "official"] = Field(default="aligned", description="Settings of all steps.")
    thresholds: Annotated[_Thresholds | None, _NOT_NULL] = Field(
        default=None, description="Parts of a map's maximum at which its regions become boxes."
    )
    scales: Annotated[_Scales | None, _NOT_NULL] = Field(
        default=None, description="Short sides in pixels to which an image is resized for its maps."
    )
    nms_iou: Annotated[_Iou | None, _NOT_NULL] = Field(
        default=None, description="Overlap above which the weaker of two boxes of a class goes."
    )
    cams: bool = Field(default=False, description="Whether the maps come along.")

    def make_recipe(self) -> Recipe:
        """The recipe with the values that were given."""
        return customise_recipe(
            RECIPES[self.recipe],
            short_sides=tuple(self.scales) if self.scales else None,
            thresholds=tuple(self.thresholds) if self.thresholds else None,
            nms_iou=self.nms_iou,
        )

    def labels_of_each(self, num_images: int) -> list[ImageLabels]:
        """The labels of each image. Raises ProblemError when there are lists for another number of images."""
        if isinstance(self.labels, tuple):
            return [self.labels] * num_images
        if len(self.labels) != num_images:
            detail = f"there are {len(self.labels)} lists of labels for {num_images} images"
            raise ProblemError("invalid-parameter", detail, errors=[("#/params/labels", detail)])
        return list(self.labels)


assert set(RECIPES) == {"aligned", "paper", "official"}
assert DEFAULT_RECIPE.name == BoxesParams().recipe


def parse_params(values: dict[str, Any]) -> BoxesParams:
    """Parameters from JSON, whose types must be right. Raises ProblemError naming each that is not."""
    return _validate(values, strict=True)


def parse_query(query: QueryParams) -> BoxesParams:
    """Parameters from the query, where every value is text. Raises ProblemError naming each that is wrong."""
    values: dict[str, Any] = {}
    for name in query:
        several = query.getlist(name)
        if name in BoxesParams.model_fields and name not in _LISTS and len(several) > 1:
            raise ProblemError(
                "invalid-parameter", f"{name} occurs twice", errors=[(make_pointer("#/query", name), "occurs twice")]
            )
        values[name] = several if name in _LISTS else several[0]
    if values.get("labels") == [AUTO]:
        values["labels"] = AUTO
    return _validate(values, strict=False)


def _validate(values: dict[str, Any], *, strict: bool) -> BoxesParams:
    try:
        return BoxesParams.model_validate(values, strict=strict)
    except ValidationError as error:
        root = "#/params" if strict else "#/query"
        raise explain_invalid(error.errors(include_url=False), root, list(BoxesParams.model_fields)) from error


def explain_invalid(errors: Sequence[Mapping[str, Any]], root: str, known: Sequence[str]) -> ProblemError:
    """The problem of parameters that pydantic refuses; an unknown name comes before a wrong value."""
    unknown = [str(one["loc"][0])[:100] for one in errors if one["type"] == "extra_forbidden"]
    if unknown:
        near = get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known) or 'none'}"
        found = [(make_pointer(root, name), "there is no such parameter") for name in unknown[:_MAX_ERRORS]]
        return ProblemError("unknown-parameter", f"there is no parameter {unknown[0]!r}; {hint}", errors=found)
    found = [(make_pointer(root, *one["loc"]), _explain_one(one)) for one in errors]
    detail = f"{found[0][0].removeprefix(root)[1:]}: {found[0][1]}"
    return ProblemError("invalid-parameter", detail, errors=found[:_MAX_ERRORS])


def _explain_one(error: Mapping[str, Any]) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    given = error["input"]
    return f"{error['msg']}, got {repr(given)[:60]}" if isinstance(given, str | int | float) else str(error["msg"])
