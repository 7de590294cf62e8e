"""ImageNet-style folders: one folder per class, named by wnid or class name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dap_core.datasets.source import Source, is_image_name, make_plan_row
from dap_core.errors import SourceError
from dap_core.label_sets import PlanRow
from dap_core.stores import LocalStore, Store


def read_image_folder(root: Path, labels: Sequence[str] = ()) -> Source:
    """All images below `root`, each labelled by the first folder of its key, or all by `labels` when given.

    An image directly in `root` has no label and will fail as `no-label`. Raises SourceError when `root` is
    no folder or holds no image.
    """
    if not root.is_dir():
        raise SourceError(f"{root} is no folder")
    return read_image_objects(LocalStore(root), labels)


def read_image_objects(store: Store, labels: Sequence[str] = ()) -> Source:
    """All images of a store, labelled as `read_image_folder` does. Raises SourceError when there is none."""
    rows: list[PlanRow] = []
    num_skipped = 0
    for info in store.list_objects():
        if not is_image_name(info.key):
            num_skipped += 1
            continue
        folder, slash, _ = info.key.partition("/")
        own_labels = (folder,) if slash else ()
        rows.append(make_plan_row(info, labels or own_labels))
    if not rows:
        raise SourceError(
            f"{store.uri} holds no image ({num_skipped} others); expected {store.uri}/<class>/<image>.jpg"
        )
    return Source(store, tuple(rows), num_skipped)
