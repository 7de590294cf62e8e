"""Reading a request's body: counted as it arrives, timed, and taken apart into images and parameters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from services.api.forms import MAX_IMAGE_BYTES, Collected, File, FormReader
from services.api.json_values import read_json
from services.api.problems import ProblemError

MAX_BODY_BYTES = 32 * 2**20
MAX_IMAGES = 32
MAX_JSON_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request holds: files, and the JSON of the part `params` of a form."""

    files: tuple[File, ...]
    params: dict[str, Any] = field(default_factory=dict)
    is_multipart: bool = False


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may take."""

    timeout_s: float
    """Seconds in which all of it must arrive."""
    max_images: int


async def read_upload(request: Request, limits: BodyLimits, count: Callable[[int], None]) -> Upload:
    """The images and parameters of a request, in memory once; `count` is told of the bytes as they arrive.

    Raises ProblemError for a body that is too large, too slow, compressed, of another type, or broken, and what `count`
    raises; no more than the limit is ever read.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError("content-encoding-unsupported", "the body must not have a Content-Encoding")
    kind, options = parse_options_header(request.headers.get("content-type"))
    media_type = kind.decode("latin-1")
    if media_type == "multipart/form-data":
        form = FormReader(options.get(b"boundary", b""), limits.max_images)
        await read_body(request, limits.timeout_s, count, form.write)
        files, params = form.finish()
        return Upload(files, params, is_multipart=True)
    if media_type != "application/octet-stream" and not media_type.startswith("image/"):
        wanted = "image/*, application/octet-stream or multipart/form-data"
        raise ProblemError("unsupported-media-type", f"Content-Type must be {wanted}, got {media_type[:100]!r}")
    image = Collected("an image", MAX_IMAGE_BYTES)
    await read_body(request, limits.timeout_s, count, image.add)
    return Upload((File(None, image.take()),))


async def read_json_body(request: Request, timeout_s: float) -> Any:
    """The JSON of a request, of at most 1 MiB. Raises ProblemError for a body that is not so."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError("content-encoding-unsupported", "the body must not have a Content-Encoding")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError("unsupported-media-type", f"Content-Type must be application/json, got {media_type[:100]!r}")
    data = bytearray()
    await read_body(request, timeout_s, lambda _: None, data.extend, MAX_JSON_BYTES)
    try:
        return read_json(bytes(data))
    except ValueError as error:
        raise ProblemError("malformed-json", str(error)) from None


async def read_body(
    request: Request,
    timeout_s: float,
    count: Callable[[int], None],
    take: Callable[[bytes], None],
    max_bytes: int = MAX_BODY_BYTES,
) -> None:
    """Hands the body on, piece by piece. Raises ProblemError for one that is too large or too slow."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal():
        raise ProblemError("bad-request", "Content-Length must be a number")
    if int(length) > max_bytes:
        raise _too_large(max_bytes)
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.stream():
                size += len(piece)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                count(len(piece))
                take(piece)
    except TimeoutError:
        detail = f"the body did not arrive within {timeout_s:g} s; {size:,} bytes came"
        raise ProblemError("request-timeout", detail) from None


def _too_large(max_bytes: int) -> ProblemError:
    return ProblemError("body-too-large", f"a body has at most {max_bytes:,} bytes")
