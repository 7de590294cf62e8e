"""The FastAPI application: routes, problems, keys and the page, made of the parts it is given. No Ray."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from dap_core.errors import DapError
from services.api.admission import Admission
from services.api.answers import ProblemAnswer
from services.api.auth import require_scope
from services.api.bodies import MAX_IMAGES, BodyLimits
from services.api.boxes import BOXES_PATH, BoxesService, make_router
from services.api.checkpoints import make_checkpoints_router
from services.api.detections import DETECTIONS_PATH, DetectionsService, make_detections_router
from services.api.gate import LOGGER, Gate
from services.api.info import guarded, make_health_router, make_info_router
from services.api.job_requests import describe_specs
from services.api.job_service import JobService
from services.api.jobs import make_jobs_router
from services.api.metrics import Metrics
from services.api.pages import add_pages
from services.api.parameters import explain_invalid
from services.api.previews import PREVIEW_PATH, PreviewService, make_preview_router
from services.api.problems import ProblemError, as_problem, problem_of_status, problem_response
from services.detecting import Detecting
from services.jobs.job_desk import JobDesk
from services.keys import KeyRing
from services.labeling import Labeling
from services.settings import ServiceSettings

SERVER_OPTIONS: dict[str, Any] = {"http": "h11", "log_config": None, "access_log": False, "server_header": False}
"""For uvicorn. Only its parser h11 bounds the head of a request; with the other one a head without end stops all."""
_DESCRIPTION = "Pseudo boxes from images with image-level labels. Errors are problem+json (RFC 9457)."


def create_app(
    labeling: Labeling,
    *,
    keys: KeyRing,
    settings: ServiceSettings,
    jobs: JobDesk | None = None,
    detecting: Detecting | None = None,
    metrics: Metrics | None = None,
    behind_proxy: bool = False,
) -> FastAPI:
    """The application that answers for `labeling` and, where there are any, for `jobs` and detectors they have made.

    `behind_proxy` says that one names requests before it. What waits for jobs ends soon after `app.state.stop_waiting`
    was called, which has to be before the server waits for its last requests.
    """
    app = FastAPI(
        title="DAP",
        version=version("dap"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = metrics or Metrics()
    service = BoxesService(
        labeling=labeling,
        admission=Admission(settings.max_in_flight, settings.max_bytes_in_flight),
        metrics=metrics,
        deadline_s=settings.deadline_s,
        body_limits=BodyLimits(settings.body_timeout_s, min(MAX_IMAGES, settings.max_in_flight)),
    )
    guard = require_scope(keys, "label")
    app.include_router(guarded(make_router(service), guard), tags=["boxes"])
    app.include_router(guarded(make_info_router(service), guard), tags=["about"])
    app.include_router(make_health_router(service), tags=["health"])
    check_room = {("POST", BOXES_PATH): lambda: service.admission.check_room(1)}
    app.state.stop_waiting = lambda: None
    if jobs is not None:
        job_service = JobService(jobs, settings.body_timeout_s)
        app.state.stop_waiting = job_service.stop
        guard = require_scope(keys, "jobs")
        app.include_router(guarded(make_jobs_router(job_service), guard), tags=["jobs"])
        app.include_router(guarded(make_preview_router(PreviewService(job_service, service)), guard), tags=["jobs"])
        check_room["POST", PREVIEW_PATH] = check_room["POST", BOXES_PATH]
        app.include_router(guarded(make_checkpoints_router(job_service), guard), tags=["checkpoints"])
        if detecting is not None:
            detections = DetectionsService(detecting, job_service, service)
            app.include_router(guarded(make_detections_router(detections), guard), tags=["detections"])
            check_room["POST", DETECTIONS_PATH] = check_room["POST", BOXES_PATH]
    add_pages(app, has_jobs=jobs is not None)
    _add_problems(app, describe_specs() if jobs else {})
    app.add_middleware(Gate, metrics=metrics, names_request=not behind_proxy, check_room=check_room)
    return app


def _add_problems(app: FastAPI, schemas: dict[str, Any]) -> None:
    """Every error as a problem, and the shape of problems in the OpenAPI document, beside other `schemas`."""

    def answer(request: Request, problem: ProblemError) -> Response:
        return problem_response(problem, request.state.request_id)

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, error: ProblemError) -> Response:
        return answer(request, error)

    @app.exception_handler(DapError)
    async def on_error(request: Request, error: DapError) -> Response:
        problem = as_problem(error)
        if problem.slug == "internal-error":
            LOGGER.error("request %s broke", request.state.request_id, exc_info=error)
        return answer(request, problem)

    @app.exception_handler(HTTPException)
    async def on_status(request: Request, error: HTTPException) -> Response:
        return answer(request, problem_of_status(error.status_code, str(error.detail), error.headers))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{**one, "loc": one["loc"][1:] or one["loc"]} for one in error.errors()]
        place = error.errors()[0]["loc"][0]
        return answer(request, explain_invalid(errors, f"#/{place}", _known_parameters(request)))

    make_document = app.openapi

    def openapi() -> dict[str, object]:
        document = make_document()
        known = document.setdefault("components", {}).setdefault("schemas", {})
        known.update(schemas)
        known[ProblemAnswer.__name__] = ProblemAnswer.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _known_parameters(request: Request) -> list[str]:
    """The query parameters of the route that was asked."""
    document = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    parameters = document.get(request.method.lower(), {}).get("parameters", ())
    return [one["name"] for one in parameters if one["in"] == "query"]
