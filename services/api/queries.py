"""What the query of a route may hold: the names it has, and no other."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Query
from pydantic import BaseModel, ConfigDict


class StrictQuery(BaseModel):
    """Base of all queries; unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(StrictQuery):
    """A route without parameters."""


Nothing: TypeAlias = Annotated[NoQuery, Query()]
