"""Every error the service answers with, in one table (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from dap_core.errors import DapError, JobMissingError
from services.api.json_values import EscapedJSONResponse
from services.jobs.refusals import JobRefusedError, OutputMissingError

CONTENT_TYPE = "application/problem+json"
UNFORESEEN = "an unforeseen error; the log has its cause under the request id"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row: status, title, what to do, and whether the same request may succeed later."""

    status: int
    title: str
    advice: str
    retryable: bool = False


PROBLEMS: Mapping[str, ProblemType] = {
    "bad-request": ProblemType(400, "The request cannot be understood", "Compare it with /docs."),
    "malformed-json": ProblemType(
        400, "The JSON is broken", "Send one JSON object as RFC 8259 has it, each name once."
    ),
    "malformed-multipart": ProblemType(400, "The multipart body is broken", "Let an HTTP library write the body."),
    "unauthenticated": ProblemType(401, "A valid API key is needed", "Send Authorization: Bearer dap_… ."),
    "forbidden": ProblemType(403, "The key may not do this", "Use a key with the scope that the detail names."),
    "not-found": ProblemType(404, "There is nothing at this address", "See /docs for what there is."),
    "method-not-allowed": ProblemType(405, "The address has no such method", "The header Allow lists its methods."),
    "not-acceptable": ProblemType(406, "The answer cannot have that form", "Accept application/json, or image/png."),
    "output-overlaps-input": ProblemType(
        409, "A job would write into what it reads", "Give it an output outside its inputs."
    ),
    "output-in-use": ProblemType(
        409, "Another job writes to that place", "Give another output, or wait until that job has ended."
    ),
    "wrong-state": ProblemType(409, "The job is not in a state for that", "GET the job to see where it stands."),
    "idempotency-key-reused": ProblemType(
        409, "The Idempotency-Key stands for another request", "Use a new key for a new job."
    ),
    "request-timeout": ProblemType(
        408, "The body took too long", "Send it faster, or a smaller image.", retryable=True
    ),
    "body-too-large": ProblemType(413, "The body is too large", "Send fewer or smaller images; see /v1/limits."),
    "too-many-parts": ProblemType(413, "There are too many parts", "Send the images in several requests."),
    "part-too-large": ProblemType(413, "A part is too large", "See /v1/limits."),
    "image-too-many-pixels": ProblemType(413, "The image has too many pixels", "Scale it down; see /v1/limits."),
    "unsupported-media-type": ProblemType(415, "The body has a type that is not read", "Send an image or multipart."),
    "content-encoding-unsupported": ProblemType(415, "The body is compressed", "Send it without Content-Encoding."),
    "unsupported-image-format": ProblemType(
        415, "The image has a format that is not read", "Convert it to JPEG or PNG."
    ),
    "unsupported-jpeg-feature": ProblemType(415, "The JPEG is of a kind that is not read", "Save it as baseline JPEG."),
    "invalid-parameter": ProblemType(422, "A parameter has a wrong value", "The list of errors says which, and why."),
    "unknown-parameter": ProblemType(422, "There is no such parameter", "Check its spelling."),
    "place-not-allowed": ProblemType(
        422, "Jobs of this service may not use that place", "Copy the files with dap cp DIR URI; the detail says where."
    ),
    "field-not-allowed": ProblemType(
        422, "That field is for the service to choose", "Leave it out, or ask for less; the detail says which."
    ),
    "unknown-label": ProblemType(
        422, "The classifier does not know a label", "GET /v1/classes?search= finds its name."
    ),
    "no-label": ProblemType(422, "An image has no label", "Name one, or send auto."),
    "empty-image": ProblemType(422, "The image is empty", "Check the file."),
    "not-an-image": ProblemType(422, "The bytes are no image", "Check the file."),
    "truncated-image": ProblemType(422, "The image ends early", "Copy or download the file again."),
    "undecodable-image": ProblemType(422, "The image is damaged", "Open it in an image editor and save it again."),
    "image-too-small": ProblemType(422, "The image is too small", "See /v1/limits."),
    "aspect-ratio-too-large": ProblemType(422, "The image is too long and thin", "Crop it; see /v1/limits."),
    "too-many-scans": ProblemType(422, "The JPEG has too many scans", "Save it as baseline JPEG."),
    "headers-too-large": ProblemType(
        431, "The address and the headers are too large", "Send less than 16 KiB of them; many labels fit into params."
    ),
    "internal-error": ProblemType(500, "Something broke here", "Report the request id; the log has it."),
    "overloaded": ProblemType(503, "Too much is under way", "Try again after the time in Retry-After.", retryable=True),
    "model-not-ready": ProblemType(503, "The model is not ready", "Try again after a few seconds.", retryable=True),
    "store-unavailable": ProblemType(
        503, "The object store does not answer", "Try again after the time in Retry-After.", retryable=True
    ),
    "deadline-exceeded": ProblemType(
        504, "There was no answer in time", "Try again when less is going on.", retryable=True
    ),
}
"""By slug; the type of a problem is `/problems/<slug>`. Slugs of images are those of `ImageError`."""

_SLUGS_BY_STATUS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed"}


class ProblemError(Exception):
    """Ends a request with a problem.

    `errors` are pairs of a JSON pointer into the request and what is wrong there.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        assert slug in PROBLEMS, slug
        super().__init__(detail)
        self.slug, self.detail = slug, detail
        self.errors, self.retry_after_s, self.headers = tuple(errors), retry_after_s, dict(headers or {})


def as_problem(error: DapError) -> ProblemError:
    """The problem that an error of the library is to the caller."""
    if isinstance(error, JobMissingError | OutputMissingError):
        return ProblemError("not-found", str(error))
    if isinstance(error, JobRefusedError):
        errors = [] if error.pointer is None else [(error.pointer, str(error))]
        return ProblemError(error.error_type, str(error), errors=errors)
    slug = error.error_type if error.error_type in PROBLEMS else "internal-error"
    return ProblemError(slug, str(error) if slug != "internal-error" else UNFORESEEN)


def make_pointer(root: str, *names: object) -> str:
    """A JSON pointer (RFC 6901) below `root`."""
    return "/".join([root, *(str(name)[:100].replace("~", "~0").replace("/", "~1") for name in names)])


def problem_of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ProblemError:
    """The problem that stands for a bare HTTP status, as a framework raises it."""
    slug = _SLUGS_BY_STATUS.get(status, "bad-request" if status < 500 else "internal-error")
    return ProblemError(slug, detail, headers=headers)


def problem_body(problem: ProblemError, request_id: str) -> dict[str, Any]:
    """The problem as JSON values."""
    kind = PROBLEMS[problem.slug]
    body: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": f"/v1/requests/{request_id}",
        "request_id": request_id,
        "retryable": kind.retryable,
    }
    if problem.retry_after_s is not None:
        body["retry_after_s"] = problem.retry_after_s
    if problem.errors:
        body["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in problem.errors]
    return body


def problem_response(problem: ProblemError, request_id: str) -> Response:
    """The problem as the answer to a request."""
    headers = dict(problem.headers)
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.slug == "unauthenticated":
        headers["WWW-Authenticate"] = 'Bearer realm="dap"'
    status = PROBLEMS[problem.slug].status
    return EscapedJSONResponse(problem_body(problem, request_id), status, headers, media_type=CONTENT_TYPE)
