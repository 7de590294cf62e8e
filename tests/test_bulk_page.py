"""The page on bulk labelling names every failure that an image can have."""

from __future__ import annotations

from pathlib import Path

from dap_core.errors import (
    ImageError,
    ObjectChangedError,
    ObjectMissingError,
    UnknownLabelError,
    WorkerCrashError,
)
from dap_core.label_sets.segments import DUPLICATE_KEY

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bulk-labeling.md"


def test_the_page_says_what_each_failure_means():
    lines = PAGE.read_text("utf-8").splitlines()
    first_cells = " ".join(line.split("|")[1] for line in lines if line.startswith("| `"))
    kinds = {one.error_type for one in (ObjectChangedError, ObjectMissingError, UnknownLabelError, WorkerCrashError)}
    assert {kind for kind in ImageError.KINDS | kinds | {DUPLICATE_KEY} if f"`{kind}`" not in first_cells} == set()
