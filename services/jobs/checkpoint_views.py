"""Trained models as people see them: what each training job has made, from what, and how it was measured."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from dap_core.errors import InputError, JobMissingError, JobRecordError, ObjectMissingError, StoreRefusedError
from dap_core.model_descriptions import ModelDescription, read_description
from services.jobs.evaluation_specs import EvaluateSpec
from services.jobs.index_snapshot import IndexedJob
from services.jobs.job_desk import JobDesk
from services.jobs.job_index import JobFilter
from services.jobs.job_store import JobStore
from services.jobs.job_views import JobView, read_view
from services.jobs.kept import Kept
from services.jobs.lineage import Makers, Parent, Parts, list_output_parts, list_parents
from services.jobs.ownership import Caller
from services.jobs.records import ENDED, USABLE, JobState
from services.jobs.spec_places import list_outputs, split_place
from services.storage import open_store

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")
MODEL_KINDS = ("train-classifier", "pretrain", "self-train", "finetune")
NUM_CLASSES_SHOWN = 20
_MOST_KEPT, _MOST_LOOKED_AT = 4_000, 2_000
"""Jobs of which something is kept, and newest ones that are taken for parents or measurements of models."""
_PAGE, _GROUPS = 500, 5
_UNREADABLE = (InputError, JobRecordError, ObjectMissingError)
_Key = tuple[str, int, JobState]
Position = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What is told of the model of one job, without its parents' jobs and its results."""

    item: dict[str, Any]
    place_parts: Parts
    tensors_sha256: str
    parents: tuple[Parent, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What an evaluate job found of the model in a place."""

    result: dict[str, Any]
    place_parts: Parts
    tensors_sha256: str


class CheckpointViews:
    """The models of a desk's jobs; blocks, and is safe in threads. Of jobs that have ended each is read once."""

    def __init__(self, desk: JobDesk) -> None:
        """Reads nothing yet."""
        self._desk = desk
        self._models: Kept[_Key, tuple[StoredModel, ...]] = Kept(_MOST_KEPT)
        self._measurements: Kept[_Key, tuple[Measurement, ...]] = Kept(_MOST_KEPT)
        self._outputs: Kept[str, tuple[Parts, ...]] = Kept(_MOST_KEPT)

    def list_page(
        self, caller: Caller, kind: str | None, before: Position | None, limit: int
    ) -> tuple[list[dict[str, Any]], Position | None]:
        """Up to `limit` models of jobs that the caller sees, newest first, and where the next page begins.

        A page has fewer where many outputs are gone, so that no request looks at all jobs. Raises StoreError.
        """
        candidates = self._list_candidates(caller, kind, before)
        found: list[tuple[IndexedJob, StoredModel]] = []
        for _ in range(_GROUPS):
            group = list(islice(candidates, limit + 1))
            models = zip(group, self._list_models(group), strict=True)
            found += [(job, model) for job, made in models for model in made]
            if len(found) > limit or len(group) <= limit:
                break
        shown = found[:limit]
        end = shown[-1][0] if len(found) > limit else group[-1] if len(group) > limit else None
        return self._describe(caller, [model for _, model in shown]), end.position if end else None

    def get(self, caller: Caller, job: str) -> dict[str, Any]:
        """The model of one job, with all that is stored of it. Raises JobMissingError, CheckpointError, StoreError."""
        view = self._desk.get(caller, job)
        stored = find_model(view)
        [item] = self._describe(caller, [_make_model(view, stored)])
        more = {"classes": list(stored.class_names), "spec": view.spec.model_dump(mode="json")}
        return {**item, **more, "checkpoint": stored.values}

    def _list_candidates(self, caller: Caller, kind: str | None, before: Position | None) -> Iterator[IndexedJob]:
        """Jobs that may have made a model: others that failed wrote none, though one may lie in their place."""
        while page := self._desk.list_jobs(caller, JobFilter(kind=kind, before=before, limit=_PAGE)):
            for job in page:
                if job.kind in MODEL_KINDS and job.attempt and (job.state in USABLE or job.state not in ENDED):
                    yield job
            before = page[-1].position

    def _describe(self, caller: Caller, models: list[StoredModel]) -> list[dict[str, Any]]:
        if not models:
            return []
        makers = self._collect_makers(caller)
        results: dict[tuple[Parts, str], list[dict[str, Any]]] = {}
        for one in self._list_measurements(caller):
            results.setdefault((one.place_parts, one.tensors_sha256), []).append(one.result)
        return [
            {
                **model.item,
                "parents": [_describe_parent(parent, model, makers) for parent in model.parents],
                "results": results.get((model.place_parts, model.tensors_sha256), []),
            }
            for model in models
        ]

    def _collect_makers(self, caller: Caller) -> Makers:
        jobs = self._desk.list_jobs(caller, JobFilter(limit=_MOST_LOOKED_AT))
        jobs = [job for job in jobs if job.kind != "evaluate"]
        return Makers(zip(jobs, self._read_all(self._outputs, jobs, _get_id, self._read_outputs), strict=True))

    def _list_measurements(self, caller: Caller) -> list[Measurement]:
        jobs = self._desk.list_jobs(caller, JobFilter(kind="evaluate", limit=_MOST_LOOKED_AT))
        jobs = [job for job in jobs if job.state in USABLE]
        read = partial(self._read, kept=self._measurements, make=_make_measurement)
        found = self._read_all(self._measurements, jobs, _make_key, read)
        return list(chain.from_iterable(found))

    def _list_models(self, jobs: list[IndexedJob]) -> list[tuple[StoredModel, ...]]:
        read = partial(self._read, kept=self._models, make=_make_stored_model)
        return self._read_all(self._models, jobs, _make_key, read)

    def _read_all(
        self,
        kept: Kept[K, V],
        jobs: list[IndexedJob],
        make_key: Callable[[IndexedJob], K],
        read: Callable[[IndexedJob], V],
    ) -> list[V]:
        """What is kept of each job, or else is read now."""
        found = {job.id: kept.get(make_key(job)) for job in jobs}
        missing = [job for job in jobs if found[job.id] is None]
        with ThreadPoolExecutor(max(1, self._desk.store.num_parallel_reads)) as pool:
            read_now = dict(zip((job.id for job in missing), pool.map(read, missing), strict=True))
        return [read_now[job.id] if (known := found[job.id]) is None else known for job in jobs]

    def _read(
        self, job: IndexedJob, *, kept: Kept[_Key, tuple[T, ...]], make: Callable[[JobView], T | None]
    ) -> tuple[T, ...]:
        """What `make` gives for a job, nothing where it cannot; kept once the job has ended."""
        try:
            view = read_view(self._desk.store, job.id)
        except _UNREADABLE:
            return ()
        try:
            made = make(view)
        except _UNREADABLE:
            made = None
        except StoreRefusedError:  # of the bucket of one job; the list is about others, too
            return ()
        values = () if made is None else (made,)
        if view.has_ended:
            kept.put((view.id, view.attempt, view.state), values)
        return values

    def _read_outputs(self, job: IndexedJob) -> tuple[Parts, ...]:
        try:
            parts = list_output_parts(JobStore(self._desk.store).read_spec(job.id))
        except _UNREADABLE:
            return ()
        self._outputs.put(job.id, parts)
        return parts


def _get_id(job: IndexedJob) -> str:
    return job.id


def _make_key(job: IndexedJob) -> _Key:
    return job.id, job.attempt, job.state


def find_model(view: JobView) -> ModelDescription:
    """What a job has made. Raises JobMissingError where it is no model, or none yet, CheckpointError, StoreError."""
    if view.spec.kind not in MODEL_KINDS:
        raise JobMissingError(
            f"job {view.id} is of kind {view.spec.kind}, which makes no model; those that do: {', '.join(MODEL_KINDS)}"
        )
    found = read_description(open_store(list_outputs(view.spec)[0].place)) if view.attempt else None
    if found is None:
        raise JobMissingError(
            f"job {view.id} is {view.state} and has no checkpoint; there is one when it has succeeded"
        )
    return found


def _make_stored_model(view: JobView) -> StoredModel:
    return _make_model(view, find_model(view))


def _make_model(view: JobView, stored: ModelDescription) -> StoredModel:
    place = list_outputs(view.spec)[0].place
    item = {
        "job": view.id,
        "kind": view.spec.kind,
        "state": view.state,
        "created": view.created,
        "place": place,
        "architecture": stored.architecture,
        "backbone": stored.backbone,
        "num_classes": len(stored.class_names),
        "classes": list(stored.class_names[:NUM_CLASSES_SHOWN]),
        "step": stored.step,
        "recipe": stored.recipe,
        "class_agnostic": stored.class_agnostic,
    }
    return StoredModel(item, split_place(place), stored.tensors_sha256, list_parents(view.spec), view.after)


def _make_measurement(view: JobView) -> Measurement | None:
    spec, result = view.spec, view.record.result if view.record else None
    if not isinstance(spec, EvaluateSpec) or result is None:
        return None
    coco = result.get("coco") or {}
    found = {"job": view.id, "data": spec.data, "ap": coco.get("ap"), "ap50": coco.get("ap50")}
    return Measurement(found, split_place(spec.detector), str(result.get("checkpoint_sha256")))


def _describe_parent(parent: Parent, model: StoredModel, makers: Makers) -> dict[str, Any]:
    made_by = makers.find(parent, model.item["job"], model.item["created"], model.after)
    return {"role": parent.role, "place": parent.place, "job": made_by}
