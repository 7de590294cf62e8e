"""Reading a request's body: counted as it arrives, timed, and taken apart into images and parameters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from services.api.problems import ProblemError

MAX_BODY_BYTES = 32 * 2**20
MAX_IMAGE_BYTES = 20 * 2**20
MAX_PARAMS_BYTES = 64 * 2**10
MAX_IMAGES = 32
_IMAGE_TYPES = ("image/", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request holds: files as (name, bytes), and the JSON of its part `params`."""

    files: tuple[tuple[str | None, bytes], ...] = field(repr=False)
    params: dict[str, Any] = field(default_factory=dict)
    is_multipart: bool = False


async def read_upload(request: Request, *, timeout_s: float, max_images: int) -> Upload:
    """The images and parameters of a request.

    Raises ProblemError for a body that is too large, too slow, compressed, of another type, or broken; no more than the
    limit is ever read.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError("content-encoding-unsupported", "the body must not have a Content-Encoding")
    header = request.headers.get("content-type", "")
    kind, options = parse_options_header(header)
    media_type = kind.decode("latin-1").lower()
    is_multipart = media_type == "multipart/form-data"
    if not is_multipart and not media_type.startswith(_IMAGE_TYPES):
        got = f"got {media_type!r}" if media_type else "got none"
        raise ProblemError(
            "unsupported-media-type", f"Content-Type must be image/*, application/octet-stream or multipart, {got}"
        )
    body = await _read_body(request, timeout_s)
    if not is_multipart:
        return Upload(((None, _check_size(body, "the image")),))
    return await _parse_multipart(request, body, options.get(b"boundary", b""), max_images)


async def _read_body(request: Request, timeout_s: float) -> bytes:
    too_large = ProblemError(
        "body-too-large", f"a body has at most {MAX_BODY_BYTES:,} bytes", headers={"Connection": "close"}
    )
    length = request.headers.get("content-length", "0")
    if not length.isdecimal():
        raise ProblemError("bad-request", "Content-Length must be a number")
    if int(length) > MAX_BODY_BYTES:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        detail = f"the body did not arrive within {timeout_s:g} s; {size:,} bytes came"
        raise ProblemError("request-timeout", detail, headers={"Connection": "close"}) from None
    return b"".join(chunks)


async def _parse_multipart(request: Request, body: bytes, boundary: bytes, max_images: int) -> Upload:
    if not boundary:
        raise ProblemError("malformed-multipart", "the Content-Type names no boundary")
    if not body.rstrip().endswith(b"--" + boundary + b"--"):
        raise ProblemError("malformed-multipart", "the body ends before its last boundary")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers, stream(), max_files=MAX_IMAGES, max_fields=MAX_IMAGES, max_part_size=MAX_PARAMS_BYTES
    )
    parser.spool_max_size = MAX_BODY_BYTES  # in memory: no image is ever written to disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _explain(error.message) from error
    files: list[tuple[str | None, bytes]] = []
    params: list[bytes] = []
    for name, part in form.multi_items():
        data = await part.read() if isinstance(part, UploadFile) else part.encode()
        if name == "images":
            files.append((part.filename if isinstance(part, UploadFile) else None, _check_size(data, "an image")))
        elif name == "params":
            params.append(data)
        else:
            pointer = "#/" + name[:100]
            raise ProblemError(
                "unknown-parameter", "parts are called images or params", errors=[(pointer, "there is no such part")]
            )
    await form.close()
    return Upload(_check_count(files, max_images), _parse_params(params), is_multipart=True)


def _explain(message: str) -> ProblemError:
    if message.startswith("Too many"):
        return ProblemError("too-many-parts", f"a request has at most {MAX_IMAGES} images and one part params")
    if "maximum size" in message:
        return ProblemError(
            "part-too-large", f"the part params has at most {MAX_PARAMS_BYTES:,} bytes; images need a file name"
        )
    return ProblemError("malformed-multipart", message)


def _check_size(data: bytes, what: str) -> bytes:
    if len(data) > MAX_IMAGE_BYTES:
        raise ProblemError("part-too-large", f"{what} has {len(data):,} bytes; at most {MAX_IMAGE_BYTES:,} are taken")
    return data


def _check_count(files: list[tuple[str | None, bytes]], max_images: int) -> tuple[tuple[str | None, bytes], ...]:
    if not files:
        raise ProblemError(
            "invalid-parameter", "there is no image", errors=[("#/images", "one part at least is needed")]
        )
    if len(files) > max_images:
        raise ProblemError("too-many-parts", f"a request has at most {max_images} images, got {len(files)}")
    return tuple(files)


def _parse_params(parts: list[bytes]) -> dict[str, Any]:
    if not parts:
        return {}
    if len(parts) > 1:
        raise ProblemError("invalid-parameter", "there must be one part params", errors=[("#/params", "sent twice")])
    if len(parts[0]) > MAX_PARAMS_BYTES:
        raise ProblemError("part-too-large", f"the part params has at most {MAX_PARAMS_BYTES:,} bytes")
    return parse_json_object(parts[0])


def parse_json_object(data: bytes) -> dict[str, Any]:
    """One JSON object, strictly: each name once, no NaN or Infinity. Raises ProblemError `malformed-json`."""
    try:
        value = json.loads(data, object_pairs_hook=_each_once, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ProblemError("malformed-json", f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise ProblemError("malformed-json", "it is nested too deeply") from error
    except ValueError as error:
        raise ProblemError("malformed-json", str(error)) from error
    if not isinstance(value, dict):
        raise ProblemError("malformed-json", f"an object is expected, got {type(value).__name__}")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs more than once")
    return values


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
