"""Hugging Face data sets for object detection: Parquet files whose schema carries the features."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.datasets.annotation_builder import AnnotationsBuilder, Corners, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.fields import (
    FieldError,
    expect_list,
    expect_mapping,
    get_field,
    parse_number,
    parse_numbers,
    parse_size,
)
from dap_core.datasets.image_roots import find_image_root, read_upright_size
from dap_core.errors import SourceError

METADATA_KEY = b"huggingface"
BoxFormat = Literal["xywh", "xyxy"]
_CLASS_FIELDS = ("category", "label", "categories", "labels")


def read_huggingface(path: Path, *, box_format: BoxFormat = "xywh", image_root: Path | None = None) -> Annotations:
    """The annotations of Parquet files with a column `objects` of `bbox` and `category`, in a folder or one file.

    Boxes are `[x, y, width, height]` in pixels unless `box_format` says otherwise; a `score` is kept. Sizes come from
    columns `width` and `height`, else from the header of the image; keys from `key`, else from the path of the image.

    Raises SourceError when there is no Parquet file, or none with such a column, or not one row can be read.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{path} holds no Parquet file")
    builder = AnnotationsBuilder(path)
    names: dict[str, None] = {}
    keys: list[str] = []
    for file in files:
        with builder.reporting(file.name):
            table = open_objects(file)
            reader = _RowReader(builder, read_class_names(table.schema_arrow), box_format)
            names |= dict.fromkeys(reader.class_names or ())
            for where, row in _iterate_rows(table, file):
                with builder.reporting(where):
                    keys.append(_read_key(row, where))
                    reader.add_row(row, keys[-1], where)
    return builder.build(list(names) or None, image_root or find_image_root([path, path / "images"], keys))


def read_class_names(schema: pa.Schema) -> list[str] | None:
    """The names of the class feature of `objects`, from the schema's metadata; None when there are none."""
    try:
        feature = json.loads((schema.metadata or {})[METADATA_KEY])["info"]["features"]["objects"]
    except (KeyError, TypeError, ValueError):
        return None
    return _find_names(feature)


def _find_names(feature: object) -> list[str] | None:
    """The names of the first ClassLabel in a feature, however it is nested."""
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        return [str(name) for name in feature.get("names") or []]
    inner = feature.values() if isinstance(feature, dict) else feature if isinstance(feature, list) else ()
    return next((names for item in inner if (names := _find_names(item))), None)


def open_objects(file: Path) -> pq.ParquetFile:
    """A Parquet file with a column `objects`; raises FieldError for any other."""
    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise FieldError(f"is no Parquet file that can be read: {error}") from error
    if "objects" not in table.schema_arrow.names:
        raise FieldError(f"has no column objects, only {', '.join(table.schema_arrow.names)[:200]}")
    return table


def _iterate_rows(table: pq.ParquetFile, file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with the columns that count; image bytes only where no column gives the size."""
    present = set(table.schema_arrow.names)
    has_path = "image" in present and pa.types.is_struct(table.schema_arrow.field("image").type)
    image = "image.path" if has_path and {"width", "height"} <= present else "image"
    columns = [*({"key", "width", "height", "objects"} & present), *([image] if "image" in present else [])]
    number = 0
    try:
        for batch in table.iter_batches(batch_size=256, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield f"{file.name} row {number}", row
    except pa.ArrowException as error:
        raise FieldError(f"is damaged after {number} rows: {error}") from error


def _read_key(row: dict[str, Any], where: str) -> str:
    """The key, else the path of the image, else where the row is."""
    image = row.get("image")
    path = image.get("path") if isinstance(image, dict) else image if isinstance(image, str) else None
    return str(row.get("key") or path or where)


@dataclass(frozen=True, slots=True)
class _RowReader:
    builder: AnnotationsBuilder
    class_names: list[str] | None
    box_format: BoxFormat

    def add_row(self, row: dict[str, Any], key: str, where: str) -> None:
        size_wh = None
        with self.builder.reporting(where):
            size_wh = _read_size(row)
        boxes = []
        with self.builder.reporting(where):
            for number, item in enumerate(_list_objects(row["objects"]), 1):
                place = f"{where} box {number}"
                with self.builder.reporting(place):
                    boxes.append(self._read_object(item, place))
        self.builder.add_image(key, size_wh, boxes, where)

    def _read_object(self, item: dict[str, Any], where: str) -> DrawnBox:
        corners = parse_numbers(get_field(item, "bbox"), "bbox", 4)
        field = next((name for name in _CLASS_FIELDS if item.get(name) is not None), "category")
        label = get_field(item, field)
        if isinstance(label, int) and self.class_names is not None:
            if not 0 <= label < len(self.class_names):
                raise FieldError(f"there is no class {label}")
            label = self.class_names[label]
        score = parse_number(item["score"], "score") if item.get("score") is not None else None
        return DrawnBox(where, _to_xyxy(corners, self.box_format), str(label), score)


def _read_size(row: dict[str, Any]) -> tuple[int, int] | None:
    if row.get("width") is not None and row.get("height") is not None:
        return parse_size(row["width"], row["height"])
    image = row.get("image")
    data = image.get("bytes") if isinstance(image, dict) else image
    return read_upright_size(io.BytesIO(data)) if data and isinstance(data, bytes) else None


def _list_objects(value: object) -> list[dict[str, Any]]:
    """Objects one by one, whether stored as a list of structs or a struct of lists."""
    if isinstance(value, list):
        return [expect_mapping(item, "an object") for item in value]
    columns = {
        name: [] if items is None else expect_list(items, f"{name} of objects")
        for name, items in expect_mapping({} if value is None else value, "objects").items()
    }
    if len({len(items) for items in columns.values()}) > 1:
        raise FieldError("the lists of objects differ in length")
    return [dict(zip(columns, items, strict=True)) for items in zip(*columns.values(), strict=True)]


def _to_xyxy(values: tuple[float, ...], box_format: BoxFormat) -> Corners:
    x, y, third, fourth = values
    return (x, y, x + third, y + fourth) if box_format == "xywh" else (x, y, third, fourth)
