"""Parts of annotations: some of the images, other names for classes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from dap_core.datasets.annotations import AnnotatedImage, Annotations
from dap_core.errors import SourceError

_NUM_NAMED = 3


def keep_images(annotations: Annotations, keys: Collection[str]) -> Annotations:
    """The annotations of these images alone. Raises SourceError for a key that has none."""
    wanted = _check_known(annotations, keys)
    return replace(annotations, images=tuple(image for image in annotations.images if image.key in wanted))


def drop_images(annotations: Annotations, keys: Collection[str]) -> Annotations:
    """The annotations of all other images. Raises SourceError for a key that has none."""
    odd = _check_known(annotations, keys)
    return replace(annotations, images=tuple(image for image in annotations.images if image.key not in odd))


def rename_classes(annotations: Annotations, names: Mapping[str, str]) -> Annotations:
    """The annotations with other names for some classes; an empty name leaves the boxes of a class out.

    Raises SourceError for a class that the annotations do not have.
    """
    known = annotations.all_class_names
    unknown = sorted(names.keys() - set(known))
    if unknown:
        raise SourceError(f"the annotations have no class {unknown[0]!r}; they have {', '.join(sorted(known))[:300]}")
    renamed = dict.fromkeys(filter(None, (names.get(name, name) for name in annotations.class_names)))
    images = tuple(_rename_boxes(image, names) for image in annotations.images)
    return replace(annotations, images=images, class_names=tuple(renamed))


def hash_annotations(annotations: Annotations) -> str:
    """The sha256 of keys, boxes, classes and ignore flags, in their order."""
    digest = hashlib.sha256()
    for image in annotations.images:
        digest.update(f"{image.key}\n{'|'.join(image.class_names)}\n".encode("utf-8", "surrogatepass"))
        digest.update(image.boxes.astype("<f4").tobytes() + image.ignored.tobytes())
    return digest.hexdigest()


def _check_known(annotations: Annotations, keys: Collection[str]) -> frozenset[str]:
    known = {image.key for image in annotations.images}
    missing = sorted(set(keys) - known)
    if missing:
        example = next(iter(sorted(known)), "none")
        raise SourceError(
            f"{len(missing)} listed images are not in the annotations, such as {', '.join(missing[:_NUM_NAMED])}; "
            f"a key there is {example}"
        )
    return frozenset(keys)


def _rename_boxes(image: AnnotatedImage, names: Mapping[str, str]) -> AnnotatedImage:
    new = [names.get(name, name) for name in image.class_names]
    kept = np.array([bool(name) for name in new], np.bool_)
    return replace(
        image,
        boxes=image.boxes[kept],
        class_names=tuple(filter(None, new)),
        ignored=image.ignored[kept],
        scores=None if image.scores is None else image.scores[kept],
    )
