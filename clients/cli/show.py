"""tmp"""


def show() -> None:
    """Tmp."""
