"""Recipes with some values changed: `key=value` as a person types it, checked against the type of the recipe.

Works for every record that derives from `TrainRecipe`; `augment.short_sides` names a value of a record inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dap_core.errors import InputError
from dap_core.training.train_recipe import TrainRecipe

R = TypeVar("R", bound=TrainRecipe)
_FIXED = ("name", "source")
_UNIONS = (Union, UnionType)
_NAMED: dict[Any, dict[str, Any]] = {bool: {"true": True, "false": False}, NoneType: {"none": None}}
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "none",
}


def change_recipe(recipe: R, texts: Mapping[str, str]) -> R:
    """The recipe with values changed that are given as texts by their names; its name then ends with a star.

    When `num_steps` changes, milestones and warm-up that are not given move with it; a warm-up never becomes longer.
    Raises InputError for an unknown name or a text of the wrong kind, ValueError for values out of range.
    """
    if not texts:
        return recipe
    values = parse_values(type(recipe), texts)
    if "num_steps" in values:
        share = values["num_steps"] / recipe.num_steps
        values.setdefault("milestones", tuple(round(step * share) for step in recipe.milestones))
        values.setdefault("warmup_steps", min(recipe.warmup_steps, max(1, round(recipe.warmup_steps * share))))
    return replace_values(recipe, {**values, "name": f"{recipe.name.rstrip('*')}*"})


def parse_values(recipe_type: type[TrainRecipe], texts: Mapping[str, str]) -> dict[str, Any]:
    """The values that texts stand for, of the types that the recipe has for their names.

    Lists are separated by commas; `none` is no value, where a recipe allows that. Raises InputError.
    """
    types = list_changeable(recipe_type)
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in types:
            raise InputError(f"{_describe_unknown(name, types)}; there are {', '.join(types)}")
        try:
            values[name] = _read(types[name], text)
        except ValueError:
            raise InputError(f"{name} is {_describe(types[name])}, got {text!r}") from None
    return values


def list_changeable(recipe_type: type[TrainRecipe]) -> dict[str, Any]:
    """The names of the values of a recipe that can be changed, each with its type."""
    return {name: hint for name, hint in _list_types(recipe_type) if name not in _FIXED}


def replace_values(recipe: R, values: Mapping[str, Any]) -> R:
    """The recipe with other values, by their names as `to_dict` has them; nothing else moves with them."""
    direct = {name: value for name, value in values.items() if "." not in name}
    for outer in dict.fromkeys(name.partition(".")[0] for name in values if "." in name):
        inner = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{outer}.")}
        direct[outer] = replace(getattr(recipe, outer), **inner)
    return replace(recipe, **direct)


def format_value(value: Any) -> str:
    """A value as it is typed after `key=`.

    >>> format_value((96, 160)), format_value(None), format_value(True), format_value(1e-05), format_value(())
    ('96,160', 'none', 'true', '1e-05', '')
    """
    if isinstance(value, tuple | list):
        return ",".join(map(format_value, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _list_types(record: type, prefix: str = "") -> list[tuple[str, Any]]:
    listed: list[tuple[str, Any]] = []
    for name, hint in get_type_hints(record).items():
        if isinstance(hint, type) and is_dataclass(hint):
            listed += _list_types(hint, f"{prefix}{name}.")
        else:
            listed.append((f"{prefix}{name}", hint))
    return listed


def _read(hint: Any, text: str) -> Any:
    """The value of a type that a text stands for. Raises ValueError."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        return _read_first(arguments, text)
    if origin is tuple:
        return tuple(_read(arguments[0], part.strip()) for part in text.split(",")) if text else ()
    if origin is Literal:
        return _pick({str(value): value for value in arguments}, text)
    if hint in _NAMED:
        return _pick(_NAMED[hint], text.lower())
    value = hint(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(text)
    return value


def _pick(choices: Mapping[str, Any], text: str) -> Any:
    if text not in choices:
        raise ValueError(text)
    return choices[text]


def _read_first(hints: Iterable[Any], text: str) -> Any:
    """The value of the first of these types that the text can stand for. Raises ValueError."""
    for hint in hints:
        with suppress(ValueError):
            return _read(hint, text)
    raise ValueError(text)


def _describe(hint: Any) -> str:
    """What a text of a type looks like."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        return " or ".join(map(_describe, arguments))
    if origin is tuple:
        return f"{_describe(arguments[0])}, or several separated by commas"
    if origin is Literal:
        return " or ".join(map(str, arguments))
    return _WORDS[hint]


def _describe_unknown(name: str, known: Iterable[str]) -> str:
    lasts = {one.rpartition(".")[2]: one for one in known}
    nearest = get_close_matches(name, [*known, *lasts], n=1)
    hint = f", perhaps {lasts.get(nearest[0], nearest[0])}" if nearest else ""
    return f"there is no value {name!r} to change{hint}"
