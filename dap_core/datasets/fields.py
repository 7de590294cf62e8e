"""Single values out of files that anybody may have written; what is wrong with one is a FieldError."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from dap_core.errors import SourceError

_FLAGS = dict.fromkeys(("", "0", "0.0", "false", "no", "unspecified"), False)
_FLAGS |= dict.fromkeys(("1", "1.0", "true", "yes"), True)


class FieldError(ValueError):
    """One value or item cannot be used; readers turn it into a problem and go on."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; raises FieldError when it cannot be read, is empty, or is in another encoding."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FieldError(f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FieldError(f"is not UTF-8 text: {error.reason} at byte {error.start}") from error
    if not text.strip():
        raise FieldError("is empty")
    return text


def read_xml(path: Path) -> Element:
    """The root element of an XML file; raises FieldError when it is none or declares entities."""
    try:
        data = path.read_bytes()  # not as text: XML names its own encoding
    except OSError as error:
        raise FieldError(f"cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise FieldError("is empty")
    try:
        root: Element = fromstring(data)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise FieldError(f"is no XML that can be read: {error}") from error
    return root


def read_json(path: Path) -> Any:
    """The value of a JSON file; raises SourceError when it is none."""
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise SourceError(f"{path} is no JSON that can be read: nested too deeply") from error
    except ValueError as error:
        raise SourceError(f"{path} is no JSON that can be read: {error}") from error


def expect_mapping(value: object, what: str) -> dict[str, Any]:
    """`value`, which must be a JSON object."""
    if not isinstance(value, dict):
        raise FieldError(f"{what} must be an object, got {type(value).__name__}")
    return value


def expect_list(value: object, what: str) -> list[Any]:
    """`value`, which must be a JSON list."""
    if not isinstance(value, list):
        raise FieldError(f"{what} must be a list, got {type(value).__name__}")
    return value


def get_field(item: object, name: str) -> Any:
    """The field of a JSON object, which must have it."""
    fields = expect_mapping(item, "an entry")
    if fields.get(name) is None:
        raise FieldError(f"{name} is missing")
    return fields[name]


def get_name(item: object, name: str) -> str:
    """The text or number in a field of a JSON object, as text."""
    value = get_field(item, name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError(f"{name} must be text, got {type(value).__name__}")
    return str(value)


def get_text(element: Element, tag: str) -> str:
    """The text of an element's child, which must be there; no blanks around it."""
    text = element.findtext(tag)
    if text is None or not text.strip():
        raise FieldError(f"<{tag}> is missing")
    return text.strip()


def parse_number(value: object, what: str) -> float:
    """A float of a number or of text that holds one; NaN and infinity pass, to be refused with the box."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise FieldError(f"{what} must be a number, got {type(value).__name__}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise FieldError(f"{what} must be a number, got {value!r:.40}") from None


def parse_numbers(values: object, what: str, count: int) -> tuple[float, ...]:
    """Exactly `count` numbers of a list."""
    if not isinstance(values, list | tuple) or len(values) != count:
        raise FieldError(f"{what} must be {count} numbers, got {values!r:.60}")
    return tuple(parse_number(value, what) for value in values)


def parse_flag(value: object, what: str) -> bool:
    """Whether a flag is set, of 0, 1, a truth value or a word for one; what is left out or unspecified is not."""
    flag = _FLAGS.get(str("" if value is None else value).strip().casefold())
    if flag is None:
        raise FieldError(f"{what} must be 0 or 1, got {value!r:.40}; taken as 0")
    return flag


def parse_size(width: object, height: object) -> tuple[int, int]:
    """An image size of two whole numbers above 0."""
    sides = (parse_number(width, "width"), parse_number(height, "height"))
    if not all(math.isfinite(side) and side >= 1 and side == int(side) for side in sides):
        raise FieldError(f"the image size must be whole pixels above 0, got {width!r:.20} x {height!r:.20}")
    return int(sides[0]), int(sides[1])
