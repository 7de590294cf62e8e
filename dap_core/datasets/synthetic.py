"""A synthetic data set made on the spot, the same for the same seed: images, COCO annotations and a class list.

It stands in for ImageNet (`kind="classification"`, one class an image) and for VOC or COCO (`kind="detection"`) where
neither may be had, and its boxes are exact. Another seed is another set: take one for training, one for validation.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from dap_core.datasets.annotations import AnnotatedImage, Annotations
from dap_core.datasets.synthetic_classes import make_synthetic_classes
from dap_core.datasets.synthetic_scenes import DEFAULT_SIZE_WH, SceneKind, render_scene
from dap_core.errors import DestinationError
from dap_core.images import encode_jpeg
from dap_core.stores import LocalStore, Store
from dap_core.types import ClassList, FloatArray

IMAGES_FOLDER = "images"
ANNOTATIONS_NAME = "annotations.json"
CLASSES_NAME = "classes.csv"
_JPEG_QUALITY = 92


def make_synthetic_set(
    destination: Store | Path | str,
    *,
    num_images: int,
    seed: int,
    kind: SceneKind = "classification",
    size_wh: tuple[int, int] = DEFAULT_SIZE_WH,
    num_classes: int = 8,
) -> Annotations:
    """Writes the first `num_images` scenes of a seed into an empty store or folder, and gives what is drawn on them.

    It holds `classes.csv`, which `read_classes` reads, `images/<wnid>/<number>.jpg` for classification or
    `images/<number>.jpg` for detection, and last of all `annotations.json` in COCO layout. `images` of a classification
    set is a folder per class, as ImageNet has it. Keys of the annotations are relative to `images`.

    Raises DestinationError when the place is not empty, StoreError when it cannot be written, ValueError for less than
    one image and as `render_scene` does.
    """
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}")
    classes = make_synthetic_classes(num_classes)
    store = LocalStore(destination) if isinstance(destination, Path | str) else destination
    if next(iter(store.list_objects()), None) is not None:
        raise DestinationError(f"{store.uri} is not empty; give a new place, or delete what is there")
    images = []
    for index in range(num_images):
        scene = render_scene(seed, index, kind=kind, size_wh=size_wh, num_classes=num_classes)
        drawn = [classes[label] for label in scene.labels.tolist()]
        folder = f"{drawn[0].wnid}/" if kind == "classification" else ""
        image = _annotate(f"{folder}{index:06d}.jpg", size_wh, scene.boxes, [item.name for item in drawn])
        store.put(f"{IMAGES_FOLDER}/{image.key}", encode_jpeg(scene.pixels, _JPEG_QUALITY))
        images.append(image)
    info = {"description": f"synthetic {kind} set", "seed": seed, "num_classes": num_classes}
    annotations = Annotations(tuple(images), tuple(item.name for item in classes.classes), image_root=_find_root(store))
    store.put(CLASSES_NAME, _encode_classes(classes))
    store.put(ANNOTATIONS_NAME, _encode_coco(annotations, classes, info))
    return annotations


def _find_root(store: Store) -> Path | None:
    return store.root / IMAGES_FOLDER if isinstance(store, LocalStore) else None


def _annotate(key: str, size_wh: tuple[int, int], boxes: FloatArray, names: list[str]) -> AnnotatedImage:
    return AnnotatedImage(key, size_wh, boxes, tuple(names), np.zeros(len(boxes), np.bool_))


def _encode_classes(classes: ClassList) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("index", "wnid", "name"))
    writer.writerows((index, item.wnid, item.name) for index, item in enumerate(classes.classes))
    return text.getvalue().encode()


def _encode_coco(annotations: Annotations, classes: ClassList, info: dict[str, Any]) -> bytes:
    """A COCO detection file; categories and images count from 1."""
    categories = [
        {"id": number, "name": item.name, "supercategory": "", "wnid": item.wnid}
        for number, item in enumerate(classes.classes, 1)
    ]
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for image_id, image in enumerate(annotations.images, 1):
        width, height = image.size_wh or (0, 0)
        images.append({"id": image_id, "file_name": image.key, "width": width, "height": height})
        for box, name in zip(image.boxes.tolist(), image.class_names, strict=True):
            boxes.append(_describe_box(len(boxes) + 1, image_id, classes.index_of(name) + 1, box))
    content = {"info": info, "licenses": [], "categories": categories, "images": images, "annotations": boxes}
    return json.dumps(content).encode()


def _describe_box(box_id: int, image_id: int, category_id: int, xyxy: list[float]) -> dict[str, Any]:
    left, top, right, bottom = xyxy
    width, height = right - left, bottom - top
    return {
        "id": box_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [left, top, width, height],
        "area": width * height,
        "iscrowd": 0,
        "segmentation": [],
    }
