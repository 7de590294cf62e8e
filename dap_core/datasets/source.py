"""Images with image-level labels, wherever they are listed: what a label set is planned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dap_core.datasets.annotations import Problem
from dap_core.label_sets import PlanRow
from dap_core.stores import ObjectInfo, Store

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class Source:
    """Rows to label and the store their keys are relative to; of many, `rows` is a PlanRows.

    `num_skipped` counts files that are not images by their name; `problems` are those of the annotations that labels
    were taken from.
    """

    store: Store
    rows: Sequence[PlanRow]
    num_skipped: int = 0
    problems: tuple[Problem, ...] = ()


def make_plan_row(info: ObjectInfo, labels: Iterable[str]) -> PlanRow:
    """The row of one image; what UTF-8 cannot hold is given with backslash escapes."""
    return PlanRow(_escape(info.key), info.etag, info.size, tuple(map(_escape, labels)))


def is_image_name(key: str) -> bool:
    """Whether a key ends like an image; BMP and TIFF count, so that they fail with a reason and are not lost."""
    _, dot, suffix = key.rpartition(".")
    return bool(dot) and f".{suffix.lower()}" in IMAGE_SUFFIXES


def _escape(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
