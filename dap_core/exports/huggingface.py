"""Hugging Face data sets: Parquet files with image, sizes and objects, and the card that describes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from dap_core.datasets.huggingface import METADATA_KEY
from dap_core.exports.destinations import open_destination
from dap_core.exports.export_run import ExportedImage, ExportRun
from dap_core.exports.options import ExportOptions, ExportReport
from dap_core.label_sets import LabelSet

ROWS_PER_FILE = 1_000
ROWS_PER_GROUP = 100
GROUP_BYTES = 32 * 1024 * 1024
_OBJECTS = {"bbox": pa.list_(pa.float32(), 4), "category": pa.int64(), "score": pa.float32(), "threshold": pa.float32()}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))


def export_huggingface(label_set: LabelSet, destination: Path, options: ExportOptions | None = None) -> ExportReport:
    """Writes `data/train-*.parquet` and a card `README.md`, for `datasets.load_dataset(folder)`.

    A row has `image`, `key`, `width`, `height` and `objects`: `bbox` `[x, y, width, height]` in pixels, `category`,
    `score` and `threshold`. Images are in the Parquet files; linked ones are paths of the source. Without images
    there is no such column. Raises as `export_coco` does.
    """
    options = options or ExportOptions()
    with open_destination(destination, label_set) as folder:
        run = ExportRun(label_set, folder, options, classes="all")
        (folder / "data").mkdir()
        has_images = options.images != "none"
        schema = _make_schema(run.categories.names, has_images)
        num_files = max(1, -(-label_set.manifest.counts.num_ok // ROWS_PER_FILE))
        images = run.images(None)
        for number in range(num_files):
            path = folder / "data" / f"train-{number:05d}-of-{num_files:05d}.parquet"
            _write_file(path, schema, run, islice(images, ROWS_PER_FILE))
        card = _make_card(run.categories.names, has_images, label_set.manifest.counts.num_ok)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return run.report()


def _make_schema(names: list[str], has_images: bool) -> pa.schema:
    columns = {"image": pa.struct([("bytes", pa.binary()), ("path", pa.string())])} if has_images else {}
    columns |= {"key": pa.string(), "width": pa.int32(), "height": pa.int32()}
    columns["objects"] = pa.struct([(name, pa.list_(kind)) for name, kind in _OBJECTS.items()])
    features = json.dumps({"info": {"features": _describe_features(names, has_images)}})
    return pa.schema(list(columns.items()), metadata={METADATA_KEY: features.encode()})


def _describe_features(names: list[str], has_images: bool) -> dict[str, Any]:
    """The features as they stand in the metadata of a Parquet file; `Sequence` is read by old and new versions."""

    def value(kind: str) -> dict[str, Any]:
        return {"dtype": kind, "_type": "Value"}

    def sequence(feature: dict[str, Any], length: int = -1) -> dict[str, Any]:
        return {"feature": feature, "length": length, "_type": "Sequence"}

    return {
        **({"image": {"_type": "Image"}} if has_images else {}),
        "key": value("string"),
        "width": value("int32"),
        "height": value("int32"),
        "objects": {
            "bbox": sequence(sequence(value("float32"), 4)),
            "category": sequence({"names": names, "_type": "ClassLabel"}),
            "score": sequence(value("float32")),
            "threshold": sequence(value("float32")),
        },
    }


def _write_file(path: Path, schema: pa.Schema, run: ExportRun, images: Iterator[ExportedImage]) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _group_rows(_make_row(image, run) for image in images):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))


def _group_rows(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups that fit into memory: a reader opens a group as a whole, too."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len((row.get("image") or {}).get("bytes") or b"")
        if len(group) == ROWS_PER_GROUP or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _make_row(image: ExportedImage, run: ExportRun) -> dict[str, Any]:
    found = run.files.fetch(image.row)
    stored = {"bytes": None, "path": str(found)} if isinstance(found, Path) else {"bytes": found, "path": image.name}
    columns = [(_box_xyxy_to_xywh(box.xyxy), box.category.number, box.score, box.threshold) for box in image.boxes]
    objects = {name: [items[index] for items in columns] for index, name in enumerate(_OBJECTS)}
    width, height = image.size_wh
    row = {"key": image.row.key, "width": width, "height": height, "objects": objects}
    return row if found is None else row | {"image": stored}


def _box_xyxy_to_xywh(box: Any) -> list[float]:
    x1, y1, x2, y2 = map(float, box)
    return [x1, y1, x2 - x1, y2 - y1]


def _make_card(names: list[str], has_images: bool, num_images: int) -> str:
    head = {
        "task_categories": ["object-detection"],
        "size_categories": [next((name for limit, name in _SIZES if num_images < limit), "n>10M")],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
        "dataset_info": {"features": _list_features(names, has_images)},
    }
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n# Pseudo boxes\n\n"
        "Boxes mined from images with image-level labels; they say where a classifier looks, and nobody checked them.\n"
        "`bbox` is `[x, y, width, height]` in pixels of the upright image, `threshold` the height at which the\n"
        "activation map was cut for the box.\n"
    )


def _list_features(names: list[str], has_images: bool) -> list[dict[str, Any]]:
    """The features as they stand in the head of a card."""
    labels = {"class_label": {"names": {str(index): name for index, name in enumerate(names)}}}
    objects = [
        {"name": "bbox", "list": {"list": "float32", "length": 4}},
        {"name": "category", "list": labels},
        {"name": "score", "list": "float32"},
        {"name": "threshold", "list": "float32"},
    ]
    columns = [("key", "string"), ("width", "int32"), ("height", "int32")]
    return [
        *([{"name": "image", "dtype": "image"}] if has_images else []),
        *({"name": name, "dtype": kind} for name, kind in columns),
        {"name": "objects", "struct": objects},
    ]
