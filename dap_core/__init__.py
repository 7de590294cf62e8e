"""Detection-aware pre-training with weak supervision, as a library.

The stages, low to high: images, classifiers, cam, mining, labeler, label_sets.
No Ray, no web, no environment variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dap_core.labeler import PseudoLabeler

__all__ = ["PseudoLabeler"]


def __getattr__(name: str) -> Any:
    """Imports the labeler, and torch with it, only when it is asked for."""
    if name == "PseudoLabeler":
        from dap_core.labeler import PseudoLabeler

        return PseudoLabeler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
