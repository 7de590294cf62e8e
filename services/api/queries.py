"""What the query of a route may hold: the names it has, and no other."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from services.api.problems import ProblemError


class StrictQuery(BaseModel):
    """Base of all queries; unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(StrictQuery):
    """A route without parameters."""


Nothing: TypeAlias = Annotated[NoQuery, Query()]


def read_start(cursor: str | None) -> int:
    """Where a page begins, by what the page before gave; the first one at 0. Raises ProblemError."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 12):
        detail = "a cursor is what the page before gave as next_cursor"
        raise ProblemError("invalid-parameter", detail, errors=[("#/query/cursor", detail)])
    return int(cursor)
