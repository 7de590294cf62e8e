"""Options that several commands share, as one record each: a command takes the record, its user the single options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter
from typing import Any, get_type_hints


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each field of those of its parameters that are dataclasses.

    The fields are annotated as parameters of a command are, and their names are the names of the options. Below
    `reports_errors`, which has to see the options.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters = [one for name in inspect.signature(command).parameters for one in _expand(name, command, hints)]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        records = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**records, **values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _expand(name: str, command: Callable[..., None], hints: dict[str, Any]) -> Iterator[Parameter]:
    """The parameters that stand for one of a command's."""
    hint = hints[name]
    if not is_dataclass(hint):
        given = inspect.signature(command).parameters[name]
        yield given.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY)
        return
    types = get_type_hints(hint, include_extras=True)
    for field in fields(hint):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=types[field.name])
