"""Images with drawn boxes as a source to mine: their labels are the classes that were drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dap_core.datasets.annotations import Annotations
from dap_core.datasets.source import Source, make_plan_row
from dap_core.errors import SourceError
from dap_core.stores import LocalStore


def annotations_to_source(
    annotations: Annotations, images_root: Path | None = None, label_map: Mapping[str, str] | None = None
) -> Source:
    """The images of `annotations`, each labelled with the classes drawn on it, in their order.

    `label_map` gives the label of a class where it is not its own name; an empty one leaves the class out. An image
    without any label will fail as `no-label`. `images_root` is where keys start, by default what the annotations say.

    Raises SourceError when no root is known, or `label_map` names a class that the annotations do not have.
    """
    root = images_root or annotations.image_root
    if root is None:
        raise SourceError("the images of these annotations were not found; they must lie beside them, or in images/")
    names = label_map or {}
    known = annotations.all_class_names
    unknown = sorted(names.keys() - set(known))
    if unknown:
        raise SourceError(f"the annotations have no class {unknown[0]!r}; they have {', '.join(sorted(known))[:300]}")
    store = LocalStore(root)
    rows = []
    for image in annotations.images:
        labels = dict.fromkeys(names.get(name, name) for name in image.class_names)
        rows.append(make_plan_row(store.describe(image.key), filter(None, labels)))
    return Source(store, tuple(rows), problems=annotations.problems)
