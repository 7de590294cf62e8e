"""What an S3 server answers when it does not deliver: repeated while it may pass, and told in our words when not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ResponseStreamingError,
)
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from dap_core.errors import (
    ObjectChangedError,
    ObjectMissingError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

T = TypeVar("T")
CHANGED = "it changed since it was listed"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_LEAST_ATTEMPTS = 2
_PASSING_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})
_MISSING, _CHANGED = frozenset({"NoSuchKey", "404"}), frozenset({"PreconditionFailed", "412"})
_REASONS = {
    "AccessDenied": "access is denied; check the rights of these credentials",
    "403": "access is denied; check the rights of these credentials",
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "NoSuchBucket": "there is no such bucket",
    "RequestTimeTooSkewed": "the clocks of this machine and the server differ too much",
}


class SlowBodyError(Exception):
    """A body arrives so slowly that another try is better."""


_PASSING_ERRORS = (
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    SlowBodyError,
    OSError,
)


def call_patiently(what: str, action: Callable[[], T], patience_s: float) -> T:
    """What `action` gives; it is repeated while its error may pass, with random pauses of up to 10 s, at least once.

    Raises StoreError, of the kind that tells what to do; `what` begins its message.
    """
    retrying = Retrying(
        stop=stop_after_delay(patience_s) & stop_after_attempt(_LEAST_ATTEMPTS),
        wait=wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        return retrying(action)
    except (BotoCoreError, ClientError, S3UploadFailedError, SlowBodyError, OSError) as error:
        raise _translate(what, _unwrap(error)) from error


@contextmanager
def refuse_setup(uri: str) -> Iterator[None]:
    """Turns what is wrong with profiles, endpoints and regions into StoreRefusedError."""
    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise StoreRefusedError(f"{uri}: {error}") from error


def _unwrap(error: BaseException) -> BaseException:
    """The error itself, or the one that boto3 wraps when an upload in parts fails."""
    return (error.__context__ or error) if isinstance(error, S3UploadFailedError) else error


def _may_pass(error: BaseException) -> bool:
    error = _unwrap(error)
    if isinstance(error, ClientError):
        return _status(error) in _PASSING_STATUSES
    return isinstance(error, _PASSING_ERRORS)


def _translate(what: str, error: BaseException) -> StoreError:
    if isinstance(error, NoCredentialsError):
        return StoreRefusedError(f"{what}: there are no credentials; set AWS_ACCESS_KEY_ID or name a profile")
    if not isinstance(error, ClientError):
        kind = StoreUnavailableError if _may_pass(error) else StoreRefusedError
        return kind(f"{what}: {error}")
    code, status = error.response.get("Error", {}).get("Code", ""), _status(error)
    message = error.response.get("Error", {}).get("Message") or code
    if code in _MISSING:
        return ObjectMissingError(f"{what}: there is no such object")
    if code in _CHANGED:
        return ObjectChangedError(f"{what}: {CHANGED}")
    if status in _PASSING_STATUSES:
        return StoreUnavailableError(f"{what}: the server answers {status} {code} ({message})")
    return StoreRefusedError(f"{what}: {_REASONS.get(code, f'the server answers {status} {code} ({message})')}")


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
