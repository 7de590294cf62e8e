"""What every step of a run reported, as a table: `metrics.parquet`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from dap_core.training.loop import StepReport

_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("loss", pa.float64()),
        ("losses", pa.map_(pa.string(), pa.float64())),
        ("lr", pa.float64()),
        ("gradient_norm", pa.float64()),
        ("num_images", pa.int64()),
        ("wait_s", pa.float64()),
        ("step_s", pa.float64()),
    ]
)


@dataclass(slots=True)
class StepTable:
    """The reports of steps in their order; step numbers count from 0, times are seconds, `loss` is the sum."""

    reports: list[StepReport] = field(default_factory=list)

    def __iter__(self) -> Iterator[StepReport]:
        return iter(self.reports)

    def __len__(self) -> int:
        return len(self.reports)

    def add(self, report: StepReport) -> None:
        """Appends the report of the next step."""
        self.reports.append(report)

    def to_parquet(self) -> bytes:
        """The table as a Parquet file."""
        rows = [
            {
                "step": one.step,
                "loss": one.loss,
                "losses": list(one.losses.items()),
                "lr": one.lr,
                "gradient_norm": one.gradient_norm,
                "num_images": one.num_images,
                "wait_s": one.wait_s,
                "step_s": one.step_s,
            }
            for one in self.reports
        ]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), sink)
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes) -> StepTable:
        """The table that `to_parquet` wrote."""
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        names = ("step", "lr", "num_images", "gradient_norm", "wait_s", "step_s")
        return cls([StepReport(losses=dict(row["losses"]), **{name: row[name] for name in names}) for row in rows])
