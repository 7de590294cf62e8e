"""Every error of this package, in one tree split by what the caller can do about it.

    DapClientError
    ├── NoAnswerError                nothing came back
    │   ├── UnreachableError         is the service running there? Tried again already
    │   └── AnswerTimeoutError       the service did not answer in time
    ├── UnexpectedAnswerError        what came back is not what a DAP service sends
    └── ProblemAnswer                the service says what is wrong; `problem` holds its fields
        ├── ServiceUnavailable       try again later; tried again already
        ├── AccessDenied             another key
        ├── InvalidRequest           fix the request
        ├── ImageProblem             fix the image
        └── ServiceDefect            tell the operator, with the request id

Below these is one class for each type of problem, named after it: `Overloaded` is `/problems/overloaded`. A type that
is not known here gives the class above it, by its status. Wrong calls raise `ValueError` or `TypeError`, files that
cannot be read `OSError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dap_client.problems import Fault, Problem

__all__ = [
    "AccessDenied",
    "AnswerTimeoutError",
    "AspectRatioTooLarge",
    "BadRequest",
    "BodyTooLarge",
    "ContentEncodingUnsupported",
    "DapClientError",
    "DeadlineExceeded",
    "EmptyImage",
    "FieldNotAllowed",
    "Forbidden",
    "HeadersTooLarge",
    "IdempotencyKeyReused",
    "ImageProblem",
    "ImageTooManyPixels",
    "ImageTooSmall",
    "InternalError",
    "InvalidParameter",
    "InvalidRequest",
    "MalformedJson",
    "MalformedMultipart",
    "MethodNotAllowed",
    "ModelNotReady",
    "NoAnswerError",
    "NoLabel",
    "NotAcceptable",
    "NotAnImage",
    "NotFound",
    "OutputInUse",
    "OutputOverlapsInput",
    "Overloaded",
    "PartTooLarge",
    "PlaceNotAllowed",
    "ProblemAnswer",
    "RequestTimeout",
    "ServiceDefect",
    "ServiceUnavailable",
    "StoreUnavailable",
    "TooManyParts",
    "TooManyScans",
    "TruncatedImage",
    "Unauthenticated",
    "UndecodableImage",
    "UnexpectedAnswerError",
    "UnknownLabel",
    "UnknownParameter",
    "UnreachableError",
    "UnsupportedImageFormat",
    "UnsupportedJpegFeature",
    "UnsupportedMediaType",
    "WrongState",
]


class DapClientError(Exception):
    """Base of all errors this package raises on purpose."""


class NoAnswerError(DapClientError):
    """No answer came."""


class UnreachableError(NoAnswerError):
    """There is no connection to the service, or it broke."""


class AnswerTimeoutError(NoAnswerError):
    """The service took longer than `timeout_s`."""


class UnexpectedAnswerError(DapClientError):
    """The answer is not what a DAP service sends: another kind of server, or another version."""


class ProblemAnswer(DapClientError):  # noqa: N818 - it and the classes below are named after types of problems
    """The service answered with a problem, whose fields it has."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def slug(self) -> str:
        """The short name of the problem's type, such as `overloaded`."""
        return self.problem.slug

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def title(self) -> str:
        """What problems of this type are, in a few words."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What is wrong this time."""
        return self.problem.detail

    @property
    def request_id(self) -> str | None:
        """What the service's log knows the request by."""
        return self.problem.request_id

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.problem.retryable

    @property
    def retry_after_s(self) -> float | None:
        """When to try again, if the service said so."""
        return self.problem.retry_after_s

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The wrong places of the request."""
        return self.problem.errors


class ServiceUnavailable(ProblemAnswer):
    """The service cannot answer at the moment."""


class Overloaded(ServiceUnavailable):
    """Too much is under way."""


class ModelNotReady(ServiceUnavailable):
    """The model is loading."""


class DeadlineExceeded(ServiceUnavailable):
    """There was no answer within the service's deadline."""


class StoreUnavailable(ServiceUnavailable):
    """The object store of the service does not answer."""


class AccessDenied(ProblemAnswer):
    """The service wants a key, or another one."""


class Unauthenticated(AccessDenied):
    """There is no valid key."""


class Forbidden(AccessDenied):
    """The key lacks the scope."""


class InvalidRequest(ProblemAnswer):
    """The request has to change."""


class BadRequest(InvalidRequest):
    """The request cannot be understood."""


class MalformedJson(InvalidRequest):
    """The JSON is broken."""


class MalformedMultipart(InvalidRequest):
    """The multipart body is broken."""


class NotFound(InvalidRequest):
    """There is nothing at this address."""


class MethodNotAllowed(InvalidRequest):
    """The address has no such method."""


class NotAcceptable(InvalidRequest):
    """The answer cannot have that form."""


class RequestTimeout(InvalidRequest):
    """The body took too long to arrive."""


class BodyTooLarge(InvalidRequest):
    """The body is too large."""


class TooManyParts(InvalidRequest):
    """There are too many images in one request."""


class PartTooLarge(InvalidRequest):
    """An image has too many bytes."""


class UnsupportedMediaType(InvalidRequest):
    """The body has a type that is not read."""


class ContentEncodingUnsupported(InvalidRequest):
    """The body is compressed."""


class HeadersTooLarge(InvalidRequest):
    """The headers are too large."""


class InvalidParameter(InvalidRequest):
    """A parameter has a wrong value; `errors` says which."""


class UnknownParameter(InvalidRequest):
    """There is no such parameter."""


class UnknownLabel(InvalidRequest):
    """The classifier does not know a label; `Client.classes` finds its name."""


class NoLabel(InvalidRequest):
    """An image has no label."""


class FieldNotAllowed(InvalidRequest):
    """A job names a field that is for the service to choose."""


class IdempotencyKeyReused(InvalidRequest):
    """The idempotency key stands for another job."""


class OutputInUse(InvalidRequest):
    """Another unfinished job writes to that place."""


class OutputOverlapsInput(InvalidRequest):
    """A job would write into what it reads."""


class PlaceNotAllowed(InvalidRequest):
    """Jobs of the service may not use that place; `dap cp` copies files to one they may."""


class WrongState(InvalidRequest):
    """The job is not in a state for that."""


class ImageProblem(ProblemAnswer):
    """The image cannot be labelled."""


class EmptyImage(ImageProblem):
    """The file is empty."""


class NotAnImage(ImageProblem):
    """The bytes are no image."""


class TruncatedImage(ImageProblem):
    """The image ends early."""


class UndecodableImage(ImageProblem):
    """The image is damaged."""


class UnsupportedImageFormat(ImageProblem):
    """The image has a format that is not read."""


class UnsupportedJpegFeature(ImageProblem):
    """The JPEG is of a kind that is not read."""


class ImageTooManyPixels(ImageProblem):
    """The image has too many pixels."""


class ImageTooSmall(ImageProblem):
    """The image is too small."""


class AspectRatioTooLarge(ImageProblem):
    """The image is too long and thin."""


class TooManyScans(ImageProblem):
    """The JPEG has too many scans."""


class ServiceDefect(ProblemAnswer):
    """Something broke in the service."""


class InternalError(ServiceDefect):
    """A defect; the service's log has the request id."""


def error_of_problem(problem: Problem) -> ProblemAnswer:
    """The error to raise for a problem: of its type, else the class for its status."""
    return (_CLASSES.get(problem.slug) or _class_of_status(problem.status))(problem)


def _class_of_status(status: int) -> type[ProblemAnswer]:
    if status in (429, 502, 503, 504):
        return ServiceUnavailable
    if status in (401, 403):
        return AccessDenied
    return ServiceDefect if status >= 500 else InvalidRequest


def _list_types(base: type[ProblemAnswer]) -> Iterator[type[ProblemAnswer]]:
    for group in base.__subclasses__():
        yield from group.__subclasses__()


def _slug_of(kind: type[ProblemAnswer]) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


_CLASSES = {_slug_of(kind): kind for kind in _list_types(ProblemAnswer)}
