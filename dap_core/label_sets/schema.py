"""The columns of a label set's shards, and rows to and from Arrow.

The schema is a contract (DESIGN.md): bulk jobs write it, training and other tools read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from dap_core.types import Cam, PseudoBoxes

CAM_TYPE = pa.struct(
    [
        ("label", pa.int32()),
        ("short_side", pa.int32()),
        ("mirrored", pa.bool_()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("origin_x", pa.float64()),
        ("origin_y", pa.float64()),
        ("pitch_x", pa.float64()),
        ("pitch_y", pa.float64()),
        ("valid_height", pa.int32()),
        ("valid_width", pa.int32()),
        ("lowest", pa.float64()),
        ("highest", pa.float64()),
        ("values", pa.binary()),  # uint16, little-endian, row by row
    ]
)
NO_BOX_TYPE = pa.struct([("label", pa.int32()), ("reason", pa.string())])
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SOURCE_TYPE = pa.struct([("etag", pa.string()), ("sha256", pa.string()), ("exif_orientation", pa.int8())])
SHARD_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("image", IMAGE_TYPE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("labels", pa.list_(pa.int32())),
        ("label_scores", pa.list_(pa.float32())),
        ("top1", pa.int32()),
        ("top1_score", pa.float32()),
        ("boxes", pa.list_(pa.list_(pa.float32(), 4))),
        ("box_labels", pa.list_(pa.int32())),
        ("box_scores", pa.list_(pa.float32())),
        ("box_thresholds", pa.list_(pa.float32())),
        ("no_box", pa.list_(NO_BOX_TYPE)),
        ("cams", pa.list_(CAM_TYPE)),
        ("source", SOURCE_TYPE),
    ]
)
FAILURE_SCHEMA = pa.schema([("key", pa.string()), ("error_type", pa.string()), ("message", pa.string())])
BOX_COLUMNS = ("boxes", "box_labels", "box_scores", "box_thresholds", "no_box")


@dataclass(frozen=True, slots=True)
class Failure:
    """One image of the plan that has no row: its key, the stable name of the error, and what it says."""

    key: str
    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class LabelSetRow:
    """One labelled image as stored. `image` is None when bytes are referenced or were not asked for."""

    key: str
    image: bytes | None = field(repr=False)
    size_wh: tuple[int, int]
    labels: tuple[int, ...]
    label_scores: tuple[float, ...]
    top1: int
    top1_score: float
    boxes: PseudoBoxes
    no_box_reasons: tuple[tuple[int, str], ...]
    cams: tuple[Cam, ...] = field(repr=False)
    etag: str
    sha256: str
    exif_orientation: int


def rows_to_batch(rows: Sequence[LabelSetRow]) -> pa.RecordBatch:
    """Rows as an Arrow batch of `SHARD_SCHEMA`."""
    columns: dict[str, pa.Array] = {
        "key": pa.array([row.key for row in rows], pa.string()),
        "image": pa.array([row.image and {"bytes": row.image, "path": row.key} for row in rows], IMAGE_TYPE),
        "width": pa.array([row.size_wh[0] for row in rows], pa.int32()),
        "height": pa.array([row.size_wh[1] for row in rows], pa.int32()),
        "labels": pa.array([row.labels for row in rows], pa.list_(pa.int32())),
        "label_scores": pa.array([row.label_scores for row in rows], pa.list_(pa.float32())),
        "top1": pa.array([row.top1 for row in rows], pa.int32()),
        "top1_score": pa.array([row.top1_score for row in rows], pa.float32()),
        **boxes_to_columns([row.boxes for row in rows], [row.no_box_reasons for row in rows]),
        "cams": pa.array([[_cam_to_struct(cam) for cam in row.cams] for row in rows], pa.list_(CAM_TYPE)),
        "source": pa.array(
            [{"etag": row.etag, "sha256": row.sha256, "exif_orientation": row.exif_orientation} for row in rows],
            SOURCE_TYPE,
        ),
    }
    return pa.record_batch([columns[name] for name in SHARD_SCHEMA.names], schema=SHARD_SCHEMA)


def boxes_to_columns(
    boxes: Sequence[PseudoBoxes], reasons: Sequence[tuple[tuple[int, str], ...]]
) -> dict[str, pa.Array]:
    """The columns `BOX_COLUMNS` for the boxes of each image and the reasons of labels without any."""
    offsets = pa.array(np.cumsum([0, *map(len, boxes)]), pa.int32())
    together = PseudoBoxes.concatenate(boxes)
    corners = pa.FixedSizeListArray.from_arrays(pa.array(together.boxes.ravel(), pa.float32()), 4)
    return {
        "boxes": pa.ListArray.from_arrays(offsets, corners),
        "box_labels": pa.ListArray.from_arrays(offsets, pa.array(together.labels, pa.int32())),
        "box_scores": pa.ListArray.from_arrays(offsets, pa.array(together.scores, pa.float32())),
        "box_thresholds": pa.ListArray.from_arrays(offsets, pa.array(together.thresholds, pa.float32())),
        "no_box": pa.array(
            [[{"label": label, "reason": reason} for label, reason in each] for each in reasons], pa.list_(NO_BOX_TYPE)
        ),
    }


def batch_to_rows(batch: pa.RecordBatch) -> list[LabelSetRow]:
    """Rows of an Arrow batch; a column that was not read counts as empty."""
    scalars = {
        name: batch.column(name).to_pylist()
        for name in ("key", "width", "height", "labels", "label_scores", "top1", "top1_score", "no_box", "source")
    }
    images = images_from_batch(batch)
    boxes, cams = boxes_from_batch(batch), cams_from_batch(batch)
    return [
        LabelSetRow(
            key=scalars["key"][index],
            image=images[index],
            size_wh=(scalars["width"][index], scalars["height"][index]),
            labels=tuple(scalars["labels"][index]),
            label_scores=tuple(scalars["label_scores"][index]),
            top1=scalars["top1"][index],
            top1_score=scalars["top1_score"][index],
            boxes=boxes[index],
            no_box_reasons=tuple((item["label"], item["reason"]) for item in scalars["no_box"][index]),
            cams=cams[index],
            **scalars["source"][index],
        )
        for index in range(batch.num_rows)
    ]


def boxes_from_batch(batch: pa.RecordBatch) -> list[PseudoBoxes]:
    """The boxes of each row."""
    offsets = batch.column("boxes").offsets.to_pylist()
    first, last = offsets[0], offsets[-1]
    corners = batch.column("boxes").flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    columns = [batch.column(f"box_{name}").flatten().to_numpy() for name in ("labels", "scores", "thresholds")]
    together = PseudoBoxes(corners, *columns)
    assert len(together) == last - first
    spans = pairwise(offsets)
    return [together.take(np.arange(start - first, stop - first)) for start, stop in spans]


def images_from_batch(batch: pa.RecordBatch) -> list[bytes | None]:
    """The encoded image of each row, None where it is only referred to or was not read."""
    if "image" not in batch.schema.names:
        return [None] * batch.num_rows
    found: Iterable[dict[str, bytes] | None] = batch.column("image").to_pylist()
    return [image and image["bytes"] for image in found]  # type: ignore[misc]


def cams_from_batch(batch: pa.RecordBatch) -> list[tuple[Cam, ...]]:
    """The stored maps of each row, in stored order."""
    if "cams" not in batch.schema.names:
        return [()] * batch.num_rows
    column = batch.column("cams")
    lengths = np.diff(column.offsets.to_numpy()).tolist()
    entries = column.flatten()
    fields = [entries.field(item.name).to_pylist() for item in CAM_TYPE]
    cams = iter([_cam_from_fields(*values) for values in zip(*fields, strict=True)])
    return [tuple(next(cams) for _ in range(length)) for length in lengths]


def _cam_to_struct(cam: Cam) -> dict[str, object]:
    return {
        "label": cam.label,
        "short_side": cam.short_side,
        "mirrored": cam.mirrored,
        "height": cam.values.shape[0],
        "width": cam.values.shape[1],
        "origin_x": cam.origin_xy[0],
        "origin_y": cam.origin_xy[1],
        "pitch_x": cam.pitch_xy[0],
        "pitch_y": cam.pitch_xy[1],
        "valid_height": cam.valid_hw[0],
        "valid_width": cam.valid_hw[1],
        "lowest": cam.lowest,
        "highest": cam.highest,
        "values": cam.values.astype("<u2").tobytes(),
    }


def _cam_from_fields(
    label: int,
    short_side: int,
    mirrored: bool,
    height: int,
    width: int,
    origin_x: float,
    origin_y: float,
    pitch_x: float,
    pitch_y: float,
    valid_height: int,
    valid_width: int,
    lowest: float,
    highest: float,
    values: bytes,
) -> Cam:
    return Cam(
        label=label,
        short_side=short_side,
        mirrored=mirrored,
        values=np.frombuffer(values, "<u2").reshape(height, width),
        lowest=lowest,
        highest=highest,
        origin_xy=(origin_x, origin_y),
        pitch_xy=(pitch_x, pitch_y),
        valid_hw=(valid_height, valid_width),
    )
