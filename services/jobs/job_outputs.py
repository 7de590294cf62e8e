"""What a job has made and left behind: failures and samples of its label set, figures, logs, objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from dap_core.label_sets import LabelSet
from dap_core.stores import Store
from services.jobs.job_store import JobStore
from services.jobs.label_set_views import open_label_set_of
from services.jobs.refusals import OutputMissingError
from services.jobs.spec_places import list_outputs
from services.jobs.specs import JobSpec, MineSpec
from services.storage import open_store

_LOG_BYTES = 256 * 2**10

Items = list[dict[str, Any]]


def list_failures(spec: JobSpec, start: int, limit: int) -> Items:
    """Images that have no boxes as they failed, from number `start` on: number, key, type, message. Raises StoreError.

    Empty before the label set has a manifest, and of jobs that make none.
    """
    found = _open_label_set(spec)
    listed = islice(found.failures(start), limit) if found else ()
    return [{"number": number, **asdict(one)} for number, one in enumerate(listed, start)]


def list_samples(spec: JobSpec, limit: int) -> Items:
    """The first images of what a mine job made, a random sample, with their boxes. Raises StoreError."""
    found = _open_label_set(spec) if isinstance(spec, MineSpec) else None
    return [_describe_row(found, row) for row in islice(found.rows(cams=False), limit)] if found else []


def list_artifacts(spec: JobSpec, start: int, limit: int) -> Items:
    """The objects in the outputs of a job from number `start` on: place, size in bytes. Raises StoreError."""
    listed = (
        {
            "output": output.pointer[1:],
            "place": f"{output.place.rstrip('/')}/{info.key}",
            "size": info.size,
        }
        for output in list_outputs(spec)
        for info in open_store(output.place).list_objects()
    )
    return list(islice(listed, start, start + limit))


def list_metrics(store: Store, job: str, after: str, limit: int) -> Items:
    """What training told of itself, after the event of that id. Raises JobRecordError, StoreError."""
    events = (event for event in JobStore(store).read_events(job, after) if event.kind == "metrics")
    return [{"id": event.id, "time": event.time, **event.values} for event in islice(events, limit)]


def read_logs(store: Store, job: str) -> Iterator[bytes]:
    """What the attempts of a job printed, in order, of each the last 256 KiB. Raises StoreError."""
    for info in store.list_objects(f"jobs/{job}/logs/"):
        yield f"==> {info.key.rpartition('/')[2]} <==\n".encode()
        start = max(0, info.size - _LOG_BYTES)
        yield store.get_range(info.key, start, info.size) + b"\n"


def _open_label_set(spec: JobSpec) -> LabelSet | None:
    try:
        return open_label_set_of(spec)
    except OutputMissingError:
        return None


def _describe_row(found: LabelSet, row: Any) -> dict[str, Any]:
    names = {index: found.classes[index].name for index in row.labels}
    boxes = zip(row.boxes.boxes.tolist(), row.boxes.labels.tolist(), row.boxes.scores.tolist(), strict=True)
    return {
        "key": row.key,
        "width": row.size_wh[0],
        "height": row.size_wh[1],
        "labels": [{"index": index, "name": name} for index, name in names.items()],
        "boxes": [{"xyxy": box, "label": label, "score": round(score, 6)} for box, label, score in boxes],
    }
