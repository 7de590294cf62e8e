"""Shards on Ray Data: a pool of labelers that each fetch, label and commit whole shards.

One row is one shard; pixels never enter Ray's object store. What a killed labeler had open another one does again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dap_core import errors
from dap_core.errors import DapError
from dap_core.label_sets.plan import PlanRow
from dap_core.label_sets.runner import FailedShard, ShardTask, ShardTasks
from dap_core.label_sets.schema import Failure, LabelSetRow
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry, ShardFooter
from dap_core.label_sets.tally import Tally
from dap_core.label_sets.timings import ShardTimings
from dap_core.stores import Store
from dap_core.types import ClassList
from services.classifiers import load_classifier_at
from services.jobs.shard_attempts import ShardWorker

if TYPE_CHECKING:
    from dap_core.labeler import PseudoLabeler

OnTally = Callable[[Tally], None]


@dataclass(frozen=True)
class LabelerSpec:
    """What every labeler of a pool loads; weights are a path or name that each machine can read."""

    settings: LabelingSettings
    classifier: str
    weights: str | None = None
    classes: ClassList | None = None
    device: str | None = None

    def make(self, num_threads: int) -> PseudoLabeler:
        """The labeler, with as many lanes as threads on a CPU. Raises ClassifierError, InputError, StoreError."""
        import torch  # here: a labeler that only watches its child needs no torch of its own

        from dap_core.labeler import PseudoLabeler

        torch.set_num_threads(num_threads)
        loaded = load_classifier_at(self.classifier, weights=self.weights, classes=self.classes)
        settings: Any = self.settings
        return PseudoLabeler(
            loaded,
            recipe=settings.recipe,
            engine=settings.engine,
            precision=settings.precision,
            device=self.device,
        )


@dataclass(frozen=True)
class ShardPool:
    """A pool of 1 to `max_labelers` labelers, with `cpus` cores and `gpus` GPUs each, on the Ray that is connected.

    It is a `runner.RunTasks`. `on_tally` hears of the images of each shard when it is committed. A store that refuses
    or cannot be reached ends the run: StoreRefusedError, StoreUnavailableError.
    """

    spec: LabelerSpec
    source: Store
    destination: Store
    max_labelers: int
    cpus: float = 1.0
    gpus: float = 0.0
    on_tally: OnTally = field(default=lambda _tally: None)

    def __call__(self, tasks: ShardTasks) -> Iterator[ShardEntry | FailedShard]:
        """Does the tasks, and gives each entry when its shard is committed, or why it cannot be made."""
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        rows = [{"task": _encode(task)} for task in tasks]
        shards = ray.data.from_items(rows, override_num_blocks=len(rows))
        receipts = shards.map_batches(
            _Worker,
            fn_constructor_args=(self.spec, self.source, self.destination, max(1, round(self.cpus))),
            batch_size=1,
            compute=ActorPoolStrategy(
                min_size=1, max_size=min(self.max_labelers, len(tasks)), max_tasks_in_flight_per_actor=2
            ),
            num_cpus=self.cpus,
            num_gpus=self.gpus,
        )
        for row in receipts.iter_rows():
            result, tally = _read_receipt(json.loads(row["receipt"]))
            self.on_tally(tally)
            yield result


class _Worker:
    """One labeler in an actor of its own."""

    def __init__(self, spec: LabelerSpec, source: Store, destination: Store, num_threads: int) -> None:
        self._worker = ShardWorker(partial(spec.make, num_threads), source, destination, spec.settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        [task] = map(_decode, batch["task"])
        tally = Tally()

        def begin_try() -> Callable[[LabelSetRow | Failure], None]:
            nonlocal tally
            tally = Tally()
            return tally.add

        try:
            result = self._worker.label_shard(task, begin_try)
        except DapError as error:
            receipt: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
        else:
            kind = "failed" if isinstance(result, FailedShard) else "entry"
            receipt = {kind: asdict(result), "tally": tally.to_dict()}
        return {"receipt": np.array([json.dumps(receipt)], object)}


def _read_receipt(values: dict[str, Any]) -> tuple[ShardEntry | FailedShard, Tally]:
    """What a worker made. Raises the error that it met."""
    if "error" in values:
        kind: type[DapError] = getattr(errors, values["error"])
        raise kind(values["message"])
    if "failed" in values:
        return FailedShard(**values["failed"]), Tally()
    entry = values["entry"]
    timings = entry["timings"] and ShardTimings(**entry["timings"])
    made = ShardEntry(**{**entry, "footer": ShardFooter(**entry["footer"]), "timings": timings})
    return made, Tally.from_dict(values["tally"])


def _encode(task: ShardTask) -> bytes:
    rows, footer = task
    listed = [(row.key, row.etag, row.size, row.labels) for row in rows]
    return json.dumps({"rows": listed, "footer": asdict(footer)}).encode()


def _decode(data: bytes) -> ShardTask:
    values = json.loads(data)
    rows = tuple(PlanRow(key, etag, size, tuple(labels)) for key, etag, size, labels in values["rows"])
    return rows, ShardFooter(**values["footer"])
