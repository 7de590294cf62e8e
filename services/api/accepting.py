"""Which form of an answer a caller accepts."""

from __future__ import annotations

from services.api.problems import ProblemError

JSON, PNG = "application/json", "image/png"


def choose_media_type(accept: str) -> str:
    """JSON or PNG by the header Accept, JSON where both will do. Raises ProblemError when neither does."""
    ranges = dict(_read_range(part) for part in accept.split(",") if part.strip()) or {"*/*": 1.0}
    qualities = {kind: _rate(kind, ranges) for kind in (JSON, PNG)}
    best = max(qualities, key=lambda kind: qualities[kind])
    if not qualities[best]:
        raise ProblemError("not-acceptable", f"answers are {JSON} or {PNG}")
    return best


def _rate(kind: str, ranges: dict[str, float]) -> float:
    """The quality of the range that names `kind` most closely (RFC 9110)."""
    return next((ranges[one] for one in (kind, kind.split("/")[0] + "/*", "*/*") if one in ranges), 0.0)


def _read_range(part: str) -> tuple[str, float]:
    name, *options = [one.strip().lower() for one in part.split(";")]
    quality = next((option[2:] for option in options if option.startswith("q=")), "1")
    try:
        return name, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return name, 0.0
