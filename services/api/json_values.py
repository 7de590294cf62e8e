"""JSON as the service takes it, strictly, and as it gives it, with nothing invisible in it."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.responses import JSONResponse

_MAX_DEPTH = 32
_MAX_DIGITS = 100
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


class EscapedJSONResponse(JSONResponse):
    """JSON whose invisible characters are escaped: what a caller named a file cannot turn a terminal's text around."""

    def render(self, content: Any) -> bytes:
        """The text in UTF-8."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if not text.isascii() or "\x7f" in text:
            text = _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        return text.encode()


def read_json_object(data: bytes) -> dict[str, Any]:
    """One JSON object, as `read_json`. Raises ValueError also for another value."""
    value = read_json(data)
    if not isinstance(value, dict):
        raise ValueError(f"an object is expected, got {_KINDS.get(type(value), 'null')}")  # noqa: TRY004 - bad data
    return value


def read_json(data: bytes) -> Any:
    """One JSON value in UTF-8, strictly: each name once, no NaN or Infinity, nested at most 32 deep.

    Raises ValueError saying what is wrong and, where it can, at which character.
    """
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_each_once, parse_constant=_refuse_constant, parse_int=_parse_int
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from error
    except RecursionError:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} deep") from None
    _check_values(value)
    return value


_KINDS: dict[type, str] = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean"}


def _check_values(value: Any) -> None:
    """Raises ValueError for values nested too deeply and text with half a character; asks no stack for it."""
    layer: list[Any] = [value]
    for _ in range(_MAX_DEPTH + 1):
        below: list[Any] = []
        for one in layer:
            if isinstance(one, str) and _LONE_SURROGATE.search(one):
                raise ValueError(f"{one[:100]!r} holds half a character (a lone surrogate)")
            below += [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else ()
        layer = below
        if not layer:
            return
    raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the name {name[:100]!r} occurs more than once")
        values[name] = value
    return values


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits; at most {_MAX_DIGITS} are taken")
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
