"""Numbers as commands show them: sizes, durations, and counts of things."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_STEPS = ((24 * 3600, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def format_bytes(size: float) -> str:
    """A size in the unit that keeps it short, 1000 of one making the next.

    >>> format_bytes(210), format_bytes(3_250_000)
    ('210 bytes', '3.2 MB')
    """
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} {_UNITS[-1]}"


def format_duration(seconds: float) -> str:
    """A duration in its two largest units, whole.

    >>> format_duration(0.2), format_duration(95), format_duration(7830), format_duration(2e6)
    ('less than 1 s', '1 min 35 s', '2 h 10 min', '23 d 4 h')
    """
    if seconds < 1:
        return "less than 1 s"
    for large, large_name, small, small_name in _STEPS:
        count = round(seconds / small)
        if count >= large // small:
            whole, rest = divmod(count, large // small)
            return f"{whole:,} {large_name} {rest} {small_name}" if rest else f"{whole:,} {large_name}"
    return f"{seconds:.0f} s"


def format_count(number: int, what: str) -> str:
    """A number of things.

    >>> format_count(1, "image"), format_count(1100, "image")
    ('1 image', '1,100 images')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
