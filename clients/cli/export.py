"""tmp"""


def export() -> None:
    """Tmp."""
