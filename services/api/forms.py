"""A multipart form taken apart while it arrives: images and parameters, each counted against its limit."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.api.json_values import read_json_object
from services.api.problems import ProblemError, make_pointer

MAX_IMAGE_BYTES = 20 * 2**20
MAX_PARAMS_BYTES = 64 * 2**10
_MAX_HEADER_BYTES = 16 * 2**10
logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every broken body; the answer says it


@dataclass(frozen=True, slots=True)
class File:
    """An image as it came; `name` is what the caller calls it, never a path of this machine."""

    name: str | None
    data: bytes = field(repr=False)


class Collected:
    """Bytes that arrive in pieces, in memory once: no image is ever written to disk."""

    def __init__(self, what: str, limit: int) -> None:
        """Takes up to `limit` bytes of `what`."""
        self._what, self._limit = what, limit
        self._buffer = io.BytesIO()

    def add(self, piece: bytes | memoryview) -> None:
        """Takes a piece. Raises ProblemError `part-too-large` when there are too many."""
        if self._buffer.tell() + len(piece) > self._limit:
            raise ProblemError("part-too-large", f"{self._what} has at most {self._limit:,} bytes")
        self._buffer.write(piece)

    def take(self) -> bytes:
        """All of it."""
        return self._buffer.getvalue()


@dataclass(slots=True)
class _Part:
    """The part that is arriving."""

    is_image: bool = False
    file_name: str | None = None
    content: Collected = field(default_factory=lambda: Collected("a part", 0))


class FormReader:
    """Reads a form of up to `max_images` parts `images` and one part `params`; refuses as early as it can."""

    def __init__(self, boundary: bytes, max_images: int) -> None:
        """Raises ProblemError for a boundary that cannot be one."""
        if not boundary:
            raise ProblemError("malformed-multipart", "the Content-Type names no boundary")
        self._form = _Form(max_images)
        try:
            self._parser = MultipartParser(boundary, self._form.callbacks(), max_header_size=_MAX_HEADER_BYTES)
        except FormParserError as error:
            raise ProblemError("malformed-multipart", str(error)) from error

    def write(self, data: bytes) -> None:
        """Takes what arrived next. Raises ProblemError."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise ProblemError("malformed-multipart", str(error)) from error

    def finish(self) -> tuple[tuple[File, ...], dict[str, Any]]:
        """The images and the parameters. Raises ProblemError for a form that is cut off or has no image."""
        form = self._form
        if not form.is_complete:
            raise ProblemError("malformed-multipart", "the body ends before its last boundary")
        if not form.files:
            errors = [("#/images", "one part at least is needed")]
            raise ProblemError("invalid-parameter", "there is no image", errors=errors)
        if form.params is None:
            return tuple(form.files), {}
        try:
            return tuple(form.files), read_json_object(form.params)
        except ValueError as error:
            raise ProblemError("malformed-json", f"params: {error}") from error


class _Form:
    """What the parser has found. It does not know the parser: together they would outlive the request (a cycle)."""

    def __init__(self, max_images: int) -> None:
        self.files: list[File] = []
        self.params: bytes | None = None
        self.is_complete = False
        self._max_images = max_images
        self._header_name, self._header_value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._part = _Part()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_part,
            "on_part_data": lambda data, start, end: self._part.content.add(memoryview(data)[start:end]),
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _begin_part(self) -> None:
        self._part = _read_part(self._headers)
        taken = len(self.files) == self._max_images if self._part.is_image else self.params is not None
        if taken:
            raise ProblemError("too-many-parts", f"a form has at most {self._max_images} images and one part params")

    def _end_part(self) -> None:
        if self._part.is_image:
            self.files.append(File(self._part.file_name, self._part.content.take()))
        else:
            self.params = self._part.content.take()
        self._part = _Part()

    def _end(self) -> None:
        self.is_complete = True


def _read_part(headers: Mapping[bytes, bytes]) -> _Part:
    kind, options = parse_options_header(headers.get(b"content-disposition"))
    if kind != b"form-data" or b"name" not in options:
        raise ProblemError("malformed-multipart", "each part needs a Content-Disposition: form-data with its name")
    name = _decode(options[b"name"])
    if name == "images":
        file_name = options.get(b"filename")
        content = Collected("an image", MAX_IMAGE_BYTES)
        return _Part(True, None if file_name is None else _decode(file_name), content)
    if name == "params":
        return _Part(content=Collected("the part params", MAX_PARAMS_BYTES))
    errors = [(make_pointer("#", name), "there is no such part")]
    raise ProblemError("unknown-parameter", f"parts are called images or params, got {name[:100]!r}", errors=errors)


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
