"""What a service has and allows, and whether it is well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from dap_core.images import ImageLimits
from dap_core.recipes import DEFAULT_RECIPE, RECIPES
from dap_core.types import ClassList
from services.api.answers import ClassAnswer, ModelAnswer, describe_class, describe_model
from services.api.bodies import MAX_BODY_BYTES
from services.api.boxes import BoxesService
from services.api.documentation import problem_responses
from services.api.forms import MAX_IMAGE_BYTES, MAX_PARAMS_BYTES
from services.api.problems import PROBLEMS, ProblemError
from services.api.queries import Nothing, StrictQuery


class ClassesQuery(StrictQuery):
    """What to look for."""

    search: str = Field("", max_length=200, description="Words of the name, or a wnid; empty finds all.")
    limit: int = Field(20, ge=1, le=1000, description="Classes to return at most.")


class ClassesAnswer(BaseModel):
    """Classes that match, best first, and how many there are in all."""

    total: int
    classes: list[ClassAnswer]


class ModelDetails(ModelAnswer):
    """A model with what it can do."""

    num_classes: int
    recipes: dict[str, dict[str, Any]]
    default_recipe: str


class ModelsAnswer(BaseModel):
    """The models of this service."""

    models: list[ModelDetails]


class LimitsAnswer(BaseModel):
    """What a request may hold."""

    max_body_bytes: int
    max_image_bytes: int
    max_pixels: int
    min_side: int
    max_aspect_ratio: float
    max_scans: int
    max_images: int
    max_params_bytes: int
    deadline_s: float
    max_in_flight: int


class LiveAnswer(BaseModel):
    """The process answers."""

    live: bool


class ReadyAnswer(BaseModel):
    """The model is loaded."""

    ready: bool


class ProblemPage(BaseModel):
    """What a type of problem means."""

    type: str
    status: int
    title: str
    advice: str
    retryable: bool


_Slug = Annotated[str, Path(json_schema_extra={"enum": list(PROBLEMS)})]


def make_info_router(service: BoxesService) -> APIRouter:
    """`/v1/classes`, `/v1/models` and `/v1/limits`."""
    router = APIRouter(responses=problem_responses(401, 403, 422, 431, 503))

    @router.get("/v1/classes", summary="Classes by name")
    async def classes(query: Annotated[ClassesQuery, Query()]) -> ClassesAnswer:
        """Classes whose name or wnid holds the words; names that begin with them come first."""
        model = await service.describe_model()
        found = find_classes(model.classes, query.search)
        chosen = [ClassAnswer(**describe_class(model.classes, index)) for index in found[: query.limit]]
        return ClassesAnswer(total=len(found), classes=chosen)

    @router.get("/v1/models", summary="What draws the maps")
    async def models(query: Nothing) -> ModelsAnswer:  # noqa: ARG001 - it refuses unknown names
        """The classifier, its engine, and the recipes."""
        model = await service.describe_model()
        recipes = {name: recipe.to_dict() for name, recipe in RECIPES.items()}
        details = ModelDetails(
            **describe_model(model),
            num_classes=len(model.classes),
            recipes=recipes,
            default_recipe=DEFAULT_RECIPE.name,
        )
        return ModelsAnswer(models=[details])

    @router.get("/v1/limits", summary="What a request may hold")
    async def limits(query: Nothing) -> LimitsAnswer:  # noqa: ARG001 - it refuses unknown names
        """Bytes, pixels, images and seconds."""
        image = ImageLimits()
        return LimitsAnswer(
            max_body_bytes=MAX_BODY_BYTES,
            max_image_bytes=MAX_IMAGE_BYTES,
            max_pixels=image.max_pixels,
            min_side=image.min_side,
            max_aspect_ratio=image.max_aspect_ratio,
            max_scans=image.max_scans,
            max_images=service.body_limits.max_images,
            max_params_bytes=MAX_PARAMS_BYTES,
            deadline_s=service.deadline_s,
            max_in_flight=service.admission.limit,
        )

    return router


def make_health_router(service: BoxesService) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics` and `/problems/…`, which need no key."""
    router = APIRouter(responses=problem_responses(422, 431))

    @router.get("/healthz", summary="Whether the process answers")
    async def healthz(query: Nothing) -> LiveAnswer:  # noqa: ARG001 - it refuses unknown names
        """Always true."""
        return LiveAnswer(live=True)

    @router.get("/readyz", summary="Whether the model is loaded", responses=problem_responses(503))
    async def readyz(query: Nothing) -> ReadyAnswer:  # noqa: ARG001 - it refuses unknown names
        """True, or 503."""
        await service.describe_model()
        return ReadyAnswer(ready=True)

    @router.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics(query: Nothing) -> Response:  # noqa: ARG001 - it refuses unknown names
        """Requests, images, boxes, seconds, and what is under way."""
        service.note_in_flight()
        return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/problems/{slug}", summary="What a problem means", responses=problem_responses(404))
    async def problem(slug: _Slug, query: Nothing) -> ProblemPage:  # noqa: ARG001 - it refuses unknown names
        """Title, status and what to do."""
        if slug not in PROBLEMS:
            raise ProblemError("not-found", f"there is no problem of that type; known are {', '.join(PROBLEMS)}")
        kind = PROBLEMS[slug]
        return ProblemPage(
            type=f"/problems/{slug}", status=kind.status, title=kind.title, advice=kind.advice, retryable=kind.retryable
        )

    return router


def find_classes(classes: ClassList, search: str) -> list[int]:
    """Indices of the classes whose name or wnid holds the words: names that begin so, then words, then the rest."""
    wanted = " ".join(search.split()).casefold()
    ranked = []
    for index, one in enumerate(classes.classes):
        name = one.name.casefold()
        if wanted in name or wanted in one.wnid.casefold():
            rank = 0 if name.startswith(wanted) else 1 if f" {wanted}" in name else 2
            ranked.append((rank, name if wanted else "", index))
    return [index for _, _, index in sorted(ranked)]


Guard = Callable[[Request], Awaitable[None]]


def guarded(router: APIRouter, guard: Guard) -> APIRouter:
    """The router behind a check of the key."""
    outer = APIRouter(dependencies=[Depends(guard)])
    outer.include_router(router)
    return outer
