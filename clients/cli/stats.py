"""tmp"""


def stats() -> None:
    """Tmp."""
