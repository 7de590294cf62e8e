"""Jobs of kind mine: a source of labelled images becomes a label set, here or by a pool of labelers on Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from dap_core.datasets import Source
from dap_core.datasets.unknown_labels import find_unknown_labels
from dap_core.engines import choose_engine
from dap_core.errors import SourceError
from dap_core.label_sets import Manifest
from dap_core.label_sets.labeling import describe_settings
from dap_core.label_sets.plan import PlannedSet, assign_shards, freeze_plan
from dap_core.label_sets.runner import FailedShard, RunTasks, ShardTasks, find_committed, run_tasks, start_label_set
from dap_core.label_sets.segments import add_failed_images, add_new_images, open_for_growth
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry
from dap_core.label_sets.timings import measure_span
from dap_core.labeler import PseudoLabeler
from dap_core.stores import Store
from dap_core.types import ClassList
from services.jobs.context import JobContext
from services.jobs.labelers import load_chosen_classifier, make_labeler, make_recipe, read_own_classes
from services.jobs.mining_counts import MiningCounts
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from services.jobs.shard_attempts import ShardWorker
from services.jobs.shard_pool import LabelerSpec, ShardPool
from services.jobs.specs import MineSpec
from services.ray_session import connect_ray
from services.sources import open_labelled_source
from services.storage import open_store


def run_mine(spec: MineSpec, context: JobContext) -> Outcome:
    """Labels what is not committed yet; whatever ends it, what was committed stays.

    Raises InputError of many kinds for what cannot be done, TooManyFailuresError, ShardFailedError, StoreError.
    """
    began = time.time()
    with context.in_stage(f"listing {spec.source[0]}"):
        opened = open_labelled_source(spec, spec.out)
    for warning in opened.warnings:
        context.warn(warning)
    source, destination = opened.source, open_store(spec.out)
    with context.in_stage(f"loading {spec.classifier}"):
        labeler_spec, labeler = _load(spec, source, context, is_new=_is_new(destination))
    with context.in_stage("planning"):
        planned = _plan(spec, source, labeler_spec.settings, destination)
    context.progress.start(planned.num_rows, parts=len(planned.shards))
    counts = MiningCounts(context)

    if spec.labelers is None:
        run = _run_here(labeler, labeler_spec, source.store, destination, counts)
    else:
        run = _run_on_ray(spec, labeler_spec, source.store, destination, counts)
    try:
        manifest = run_tasks(
            destination,
            planned,
            run,
            on_resumed=counts.resume_shard,
            on_committed=counts.commit_shard,
            max_failed=spec.max_failures,
        )
    finally:
        counts.close()
    return _make_outcome(spec, manifest, counts, began, source.num_skipped)


def _check_labels(source: Source, classes: ClassList, context: JobContext) -> None:
    """Warns of labels that are no classes; raises SourceError when too many images have one."""
    unknown = find_unknown_labels(source.rows, classes)
    if unknown.are_too_many:
        raise SourceError(unknown.describe())
    if unknown.num_images:
        context.warn(unknown.describe())


def _load(
    spec: MineSpec, source: Source, context: JobContext, *, is_new: bool
) -> tuple[LabelerSpec, PseudoLabeler | None]:
    """What makes a labeler; of a new label set one is made before anything is written, and given for use here."""
    loaded = load_chosen_classifier(spec)
    _check_labels(source, loaded.classes, context)
    choice = choose_engine(engine=spec.engine, precision=spec.precision, device=spec.device)
    settings = describe_settings(
        loaded,
        make_recipe(spec),
        (choice.engine, choice.precision),
        source.store,
        embed_images=spec.images == "embed",
        store_cams=spec.cams,
    )
    labeler_spec = LabelerSpec(settings, spec.classifier, spec.weights, read_own_classes(spec), spec.device)
    if not is_new:
        return labeler_spec, None
    labeler = make_labeler(spec, loaded)
    return labeler_spec, labeler if spec.labelers is None else None


def _is_new(destination: Store) -> bool:
    return next(iter(destination.list_objects("plans/")), None) is None


def _plan(spec: MineSpec, source: Source, settings: LabelingSettings, destination: Store) -> PlannedSet:
    if spec.growth == "none":
        return start_label_set(
            destination, *freeze_plan(assign_shards(source.rows, max_rows=spec.shard_images), settings)
        )
    planned = open_for_growth(destination, settings)
    if spec.growth == "new-images":
        return add_new_images(destination, planned, source.rows, max_rows=spec.shard_images)
    committed = find_committed(destination, planned)
    return add_failed_images(destination, planned, committed, source.rows, max_rows=spec.shard_images)


def _run_here(
    labeler: PseudoLabeler | None, spec: LabelerSpec, source: Store, destination: Store, counts: MiningCounts
) -> RunTasks:
    make = partial(spec.make, torch.get_num_threads())
    worker = ShardWorker(make, source, destination, spec.settings, labeler)

    def run(tasks: ShardTasks) -> Iterator[ShardEntry | FailedShard]:
        return (worker.label_shard(task, counts.begin_try) for task in tasks)

    return run


def _run_on_ray(
    spec: MineSpec, labeler_spec: LabelerSpec, source: Store, destination: Store, counts: MiningCounts
) -> RunTasks:
    """Labelers that share the cores of this machine evenly; on a cluster, with a core or a GPU each."""
    assert spec.labelers is not None
    cores = len(os.sched_getaffinity(0)) if spec.ray is None else 1
    pool = ShardPool(
        labeler_spec,
        source,
        destination,
        spec.labelers,
        cpus=max(1, cores // spec.labelers),
        gpus=1.0 if (spec.device or "").startswith("cuda") else 0.0,
        on_tally=counts.add_tally,
    )

    def run(tasks: ShardTasks) -> Iterator[ShardEntry | FailedShard]:
        with connect_ray(spec.ray):
            yield from pool(tasks)

    return run


def _make_outcome(spec: MineSpec, manifest: Manifest, counts: MiningCounts, began: float, num_skipped: int) -> Outcome:
    images, tally, settings = manifest.counts, counts.tally, manifest.settings
    num_mined = tally.num_ok + tally.failures.total()
    started, ended = measure_span(counts.timings) or (time.time(), time.time())
    result: dict[str, Any] = {
        **counts.describe(spec.out, manifest, num_skipped),
        "mined_now": num_mined,
        "seconds": round(time.time() - began, 2),
        "start_up_s": round(started - began, 2),
        "images_per_s": round(num_mined / (ended - started), 2) if num_mined else 0.0,
        "agreeing": tally.num_agreeing,
        "recipe": settings.recipe.name,
        "classifier": settings.classifier,
        "engine": f"{settings.engine} {settings.precision}",
    }
    if not images.num_ok:
        return Outcome(JobState.FAILED, result, "no image could be labelled")
    return Outcome(JobState.PARTIALLY_SUCCEEDED if images.num_failed else JobState.SUCCEEDED, result)
