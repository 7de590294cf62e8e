"""The classes of the synthetic set: pairs of a shape and a texture, neither of which tells the class alone.

With 8 classes every shape comes in two classes, and so does every texture; the pairs that are no class are the
distractors, which are drawn but never labelled.
"""

from __future__ import annotations

from typing import NamedTuple

from dap_core.types import ClassList

SHAPES = ("disc", "square", "triangle", "star")
TEXTURES = ("striped", "chequered", "dotted", "blotched")
MAX_CLASSES = 12
"""With more, some shape would have no distractor left."""


class Look(NamedTuple):
    """What an object looks like, but for its colours, size and turn."""

    shape: str
    texture: str


_LOOKS = tuple(
    Look(shape, TEXTURES[(place + diagonal) % len(TEXTURES)])
    for diagonal in range(len(TEXTURES))
    for place, shape in enumerate(SHAPES)
)
"""All pairs, diagonal by diagonal of their table: each run of four has every shape and every texture once."""


def list_class_looks(num_classes: int) -> tuple[Look, ...]:
    """The looks of the classes, in their order; raises ValueError unless there are 2 to 12."""
    if not 2 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"num_classes must be 2 to {MAX_CLASSES}, got {num_classes}")
    return _LOOKS[:num_classes]


def list_distractor_looks(num_classes: int) -> tuple[Look, ...]:
    """The looks that are no class; raises ValueError as `list_class_looks` does."""
    return _LOOKS[len(list_class_looks(num_classes)) :]


def make_synthetic_classes(num_classes: int = 8) -> ClassList:
    """The class list of the synthetic set; raises ValueError as `list_class_looks` does.

    >>> [item.name for item in make_synthetic_classes(3).classes]
    ['striped disc', 'chequered square', 'dotted triangle']
    """
    looks = list_class_looks(num_classes)
    return ClassList.from_pairs((f"{look.texture}-{look.shape}", f"{look.texture} {look.shape}") for look in looks)
