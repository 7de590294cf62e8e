"""Folders and buckets of images, by default one folder per class, named by wnid or class name."""

from __future__ import annotations

from pathlib import Path

from dap_core.datasets.label_rules import FolderLabels, LabelRule
from dap_core.datasets.source import Source, is_image_name, make_plan_row
from dap_core.errors import SourceError
from dap_core.label_sets.plan_rows import PlanRowsBuilder
from dap_core.stores import LocalStore, Store

_BY_FOLDER = FolderLabels()


def read_image_folder(root: Path, rule: LabelRule = _BY_FOLDER) -> Source:
    """All images below `root`, each labelled by `rule`.

    An image to which the rule gives no label will fail as `no-label`. Raises SourceError when `root` is no folder or
    holds no image.
    """
    if not root.is_dir():
        raise SourceError(f"{root} is no folder")
    return read_image_objects(LocalStore(root), rule)


def read_image_objects(store: Store, rule: LabelRule = _BY_FOLDER) -> Source:
    """All images of a store, labelled as `read_image_folder` does. Raises SourceError when there is none."""
    rows = PlanRowsBuilder()
    num_skipped = 0
    for info in store.list_objects():
        if is_image_name(info.key):
            rows.append(make_plan_row(info, rule.find_labels(info.key)))
        else:
            num_skipped += 1
    if not len(rows):
        raise SourceError(
            f"{store.uri} holds no image ({num_skipped} others); expected {store.uri}/<class>/<image>.jpg"
        )
    return Source(store, rows.build(), num_skipped)
