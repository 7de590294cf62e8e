"""`results.parquet`: every score of a study, and which count; nothing in it depends on when or how fast it was made."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.evaluation.study_scores import Score, Setting

_SCHEMA = pa.schema(
    [
        pa.field("study", pa.string()),
        pa.field("data", pa.string()),
        pa.field("arm", pa.string()),
        pa.field("shots", pa.int64()),
        pa.field("seed", pa.int64()),
        pa.field("num_steps", pa.int64()),
        pa.field("part", pa.string()),
        pa.field("chosen", pa.bool_()),
        *(
            pa.field(name, pa.float64())
            for name in ("ap", "ap50", "ap75", "voc_ap50_area", "voc_ap50_11_points", "top1", "top5")
        ),
        *(pa.field(name, pa.int64()) for name in ("num_images", "num_boxes", "num_train")),
        pa.field("checkpoint_sha256", pa.string()),
    ]
)


def write_scores(study: str, scores: Sequence[Score], chosen: dict[tuple[Setting, str], int]) -> bytes:
    """The scores as a Parquet file, in an order of their own; `shots` is null where all images were used.

    `chosen` marks the scores of the number of steps that counts.
    """
    rows = [
        {
            **asdict(score),
            "study": study,
            "chosen": score.num_steps == chosen.get((Setting(score.data, score.shots), score.arm), 0),
        }
        for score in sorted(scores, key=_order)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), sink)
    return sink.getvalue()


def read_scores(data: bytes) -> list[Score]:
    """The scores that `write_scores` wrote."""
    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    return [Score(**{name: row[name] for name in Score.__dataclass_fields__}) for row in rows]


def _order(score: Score) -> tuple[object, ...]:
    return (score.data, score.shots or 0, score.arm, score.seed, score.num_steps, score.part)
