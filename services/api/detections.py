"""`POST /v1/detections`: one image in, what a trained detector finds in it out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from dap_core.errors import CheckpointError, JobMissingError, ObjectChangedError, ObjectMissingError
from dap_core.model_descriptions import ModelDescription
from dap_core.types import FailedImage, PredictedImage
from services.api.auth import find_caller
from services.api.bodies import read_upload
from services.api.boxes import BoxesService
from services.api.checkpoints import refuse_model
from services.api.documentation import BOXES_REQUEST, problem_responses
from services.api.job_service import JobService, answering_for_store
from services.api.json_values import EscapedJSONResponse
from services.api.problems import ProblemError, as_problem
from services.api.queries import StrictQuery
from services.api.waiting import until_disconnect
from services.detecting import Detecting, Detection, DetectorLostError, DetectRequest
from services.jobs.checkpoint_views import find_model
from services.jobs.ownership import Caller
from services.jobs.spec_places import list_outputs

T = TypeVar("T")
DETECTIONS_PATH = "/v1/detections"
_RETRY_S = 5
_MULTIPART = "multipart/form-data"
_REQUEST = {
    "required": True,
    "content": {kind: schema for kind, schema in BOXES_REQUEST["content"].items() if kind != _MULTIPART},
}


class DetectionsQuery(StrictQuery):
    """Which detector looks, and which of its boxes are wanted."""

    model: str = Field(description="The job that made the detector.")
    min_score: float = Field(0.05, ge=0, le=1, allow_inf_nan=False, description="Boxes of a lower score are left out.")
    max_boxes: int = Field(100, ge=1, le=1000, description="Boxes to return at most, best first.")


class DetectorAnswer(BaseModel):
    """Which detector looked."""

    job: str
    architecture: str


class DetectedBox(BaseModel):
    """Corners in pixels of the upright image, index and name of its class, and the detector's score."""

    xyxy: tuple[float, float, float, float]
    label: int
    name: str
    score: float


class DetectionsAnswer(BaseModel):
    """What was found, best first; `classes` is how many the detector knows."""

    request_id: str
    model: DetectorAnswer
    width: int
    height: int
    exif_orientation: int
    boxes: list[DetectedBox]
    classes: int


@dataclass(frozen=True, slots=True)
class FoundDetector:
    """The detector that a job has made, and where."""

    place: str
    stored: ModelDescription


@dataclass(frozen=True, slots=True)
class DetectionsService:
    """What the route works with; what may be under way is counted together with `POST /v1/boxes`."""

    detecting: Detecting
    jobs: JobService
    boxes: BoxesService

    async def answer(self, request: Request, query: DetectionsQuery) -> Response:
        """The whole way of a request."""
        finding = self.jobs.run(self._find_detector, find_caller(request), query.model)
        detector = await self._within_deadline(finding)
        if request.headers.get("content-type", "").lower().startswith(_MULTIPART):
            detail = "Content-Type must be image/* or application/octet-stream: one image is the whole body"
            raise ProblemError("unsupported-media-type", detail)
        with self.boxes.admission.hold_bytes() as count:
            upload = await read_upload(request, self.boxes.body_limits, count)
            with self.boxes.admit(1):
                asked = DetectRequest(upload.files[0].data, detector.place, detector.stored.sha256)
                found = await until_disconnect(request, self._detect(query.model, asked))
        if isinstance(found, FailedImage):
            self.boxes.metrics.count_image(found.error.error_type)
            raise as_problem(found.error)
        self.boxes.metrics.count_image("ok")
        return EscapedJSONResponse(_describe(request.state.request_id, query, detector.stored, found))

    def _find_detector(self, caller: Caller, job: str) -> FoundDetector:
        """Raises JobMissingError, ProblemError, StoreError."""
        view = self.jobs.desk.get(caller, job)
        try:
            stored = find_model(view)
        except CheckpointError as error:
            raise refuse_model(job, error) from error
        if not stored.is_detector:
            raise JobMissingError(f"job {job} made a classifier, which finds no boxes; name one that made a detector")
        return FoundDetector(list_outputs(view.spec)[0].place, stored)

    async def _detect(self, job: str, asked: DetectRequest) -> Detection:
        """Raises ProblemError, StoreError."""
        try:
            with answering_for_store():
                return await self._within_deadline(self.detecting.detect(asked))
        except (DetectorLostError, ObjectChangedError) as error:
            detail = "the detector cannot be asked at the moment, or is being replaced"
            raise ProblemError("model-not-ready", detail, retry_after_s=_RETRY_S) from error
        except ObjectMissingError as error:
            raise ProblemError("not-found", f"the checkpoint of job {job} is gone") from error
        except CheckpointError as error:
            raise refuse_model(job, error) from error

    async def _within_deadline(self, work: Awaitable[T]) -> T:
        deadline_s = self.boxes.deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                return await work
        except TimeoutError:
            detail = f"there was no answer within {deadline_s:g} s"
            retry_after_s = self.boxes.admission.estimate_wait_s()
            raise ProblemError("deadline-exceeded", detail, retry_after_s=retry_after_s) from None


def make_detections_router(service: DetectionsService) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        DETECTIONS_PATH,
        summary="What a trained detector finds in an image",
        response_class=JSONResponse,
        responses={
            **problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 431, 503, 504),
            200: {"model": DetectionsAnswer},
        },
        openapi_extra={"requestBody": _REQUEST},
    )
    async def detections(request: Request, query: Annotated[DetectionsQuery, Query()]) -> Response:
        """Boxes of one image, sent as the body, as a predict job of the detector finds them."""
        return await service.answer(request, query)

    return router


def _describe(
    request_id: str, query: DetectionsQuery, stored: ModelDescription, found: PredictedImage
) -> dict[str, Any]:
    kept = found.take(found.scores >= query.min_score)
    boxes = zip(kept.boxes[: query.max_boxes], kept.labels.tolist(), kept.scores, strict=False)
    return {
        "request_id": request_id,
        "model": {"job": query.model, "architecture": stored.architecture},
        "width": found.size_wh[0],
        "height": found.size_wh[1],
        "exif_orientation": found.exif_orientation,
        "boxes": [
            {
                "xyxy": [float(str(side)) for side in box],  # no more digits than a float32 has
                "label": label,
                "name": stored.class_names[label],
                "score": float(str(score)),
            }
            for box, label, score in boxes
        ],
        "classes": len(stored.class_names),
    }
