"""Label sets to export: any boxes on any keys, ugly names, and what comes back from a reader."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from dap_core.datasets import AnnotatedImage, Annotations
from dap_core.label_sets import Failure, LabelSet, LabelSetRow, PlanRow, open_label_set
from dap_core.label_sets.plan import freeze_plan
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.label_sets.shards import ShardEntry, ShardFooter, commit_shard, rows_to_batches
from dap_core.stores import LocalStore
from dap_core.types import PseudoBoxes
from tests.builders import encode_image, make_smooth_pixels
from tests.label_set_builders import make_label_set, make_row

UGLY_KEYS = (
    "a.jpg",
    "a.png",
    "A.jpg",
    "n01/two words.JPEG",
    "n01/100%/#1.jpg",
    'it\'s "quoted" & <b>.png',
    "日本/é.webp",
    "images/images/deep.jpg",
    "a_b/c.jpg",
    "a/b_c.jpg",
    ".hidden/x.jpg",
    "dots.in.name.jpg",
    "?d=x+y;z.jpg",
)
UGLY_CLASSES = ("crane", "traffic light", "crane", "a <b> & \"c\": 'd'", "日本", "no", "#5, half%", "- x")


@cache
def encode_plain(size_wh: tuple[int, int], file_format: str = "PNG") -> bytes:
    """A small image file of this size."""
    return encode_image(make_smooth_pixels(*size_wh), file_format)


def make_boxes_row(
    key: str,
    boxes: Sequence[tuple[float, float, float, float]] = (),
    *,
    labels: Sequence[int] | None = None,
    scores: Sequence[float] | None = None,
    size_wh: tuple[int, int] = (60, 40),
    image: bytes | None = None,
    exif_orientation: int = 1,
    etag: str = "etag",
) -> LabelSetRow:
    """A row with exactly these boxes."""
    base = make_row(key, [], image=encode_plain(size_wh) if image is None else image)
    count = len(boxes)
    found = PseudoBoxes(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels if labels is not None else [0] * count, np.int32),
        np.array(scores if scores is not None else [0.5] * count, np.float32),
        np.full(count, 0.2, np.float32),
    )
    values = {name: getattr(base, name) for name in base.__dataclass_fields__}
    return LabelSetRow(
        **{**values, "size_wh": size_wh, "boxes": found, "exif_orientation": exif_orientation, "etag": etag}
    )


def make_ugly_set(root: Path) -> LabelSet:
    """Every ugly key with two boxes of different classes, one image without a box, one failure."""
    rows = [
        make_boxes_row(
            key,
            [(0, 0, 60, 40), (index + 0.37, 3.123, 31.456 + index, 39.99)],
            labels=[index % len(UGLY_CLASSES), (index + 3) % len(UGLY_CLASSES)],
            scores=[0.25, 0.75],
        )
        for index, key in enumerate(UGLY_KEYS)
    ]
    rows.append(make_boxes_row("n01/nothing.jpg"))
    failures = [Failure("broken.jpg", "truncated-image", "the JPEG ends early")]
    return make_label_set(root, rows, failures=failures, class_names=UGLY_CLASSES)


def read_names(folder: Path) -> dict[str, str]:
    """Keys by the names that `names.csv` of an export gives them."""
    if not (folder / "names.csv").exists():
        return {}
    with (folder / "names.csv").open(encoding="utf-8", newline="") as file:
        return {line["name"]: line["key"] for line in csv.DictReader(file)}


def index_by_key(annotations: Annotations, folder: Path) -> dict[str, AnnotatedImage]:
    """The images of a read export by their keys in the label set."""
    keys = read_names(folder)
    return {keys.get(image.key, image.key): image for image in annotations.images}


def measure_error(label_set: LabelSet, annotations: Annotations, folder: Path) -> float:
    """The largest difference of a corner in pixels between a label set and its export; all else must be equal."""
    names = expect_names(label_set)
    images = index_by_key(annotations, folder)
    rows = {row.key: row for row in label_set.rows()}
    assert images.keys() == rows.keys()
    errors = [0.0]
    for key, row in rows.items():
        image = images[key]
        assert image.class_names == tuple(names[label] for label in row.boxes.labels), key
        assert image.size_wh in (None, row.size_wh)
        errors += np.abs(image.boxes - row.boxes.boxes).ravel().tolist()
    return max(errors)


def expect_names(label_set: LabelSet) -> list[str]:
    """The class names an export must use: a shared name gets the wnid added."""
    names = [item.name for item in label_set.classes.classes]
    return [
        name if names.count(name) == 1 else f"{name} ({item.wnid})"
        for name, item in zip(names, label_set.classes.classes, strict=True)
    ]


def make_sharded_set(root: Path, shards: Sequence[Sequence[LabelSetRow]]) -> LabelSet:
    """A complete label set of one shard per list of rows."""
    store = LocalStore(root)
    settings = make_label_set(root.with_name(root.name + "-settings"), [shards[0][0]]).manifest.settings
    listed = {number: tuple(PlanRow(row.key, "etag", 1, ("x0",)) for row in rows) for number, rows in enumerate(shards)}
    plan = start_label_set(store, *freeze_plan(listed, settings))
    rows_by_key = {row.key: row for rows in shards for row in rows}

    def make_shard(planned: tuple[PlanRow, ...], footer: ShardFooter) -> ShardEntry:
        return commit_shard(store, rows_to_batches([rows_by_key[row.key] for row in planned]), [], footer)

    run_plan(store, plan, make_shard)
    return open_label_set(store)
