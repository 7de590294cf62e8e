"""Jobs of kind predict: what a trained detector finds in images becomes a label set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from dap_core.datasets import Source
from dap_core.detectors import Checkpoint
from dap_core.detectors.labeling import DetectingLabeler, describe_predictions
from dap_core.errors import SourceError
from dap_core.evaluation.truth_keys import match_keys
from dap_core.label_sets import Manifest
from dap_core.label_sets.plan import assign_shards, freeze_plan
from dap_core.label_sets.plan_rows import PlanRows
from dap_core.label_sets.runner import FailedShard, ShardTasks, run_tasks, start_label_set
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry
from dap_core.label_sets.timings import measure_span
from dap_core.recipes import PredictionRecipe
from dap_core.stores import Store
from dap_core.types import AUTO
from services.annotated_data import read_keys
from services.jobs.context import JobContext
from services.jobs.evaluation_specs import PredictSpec
from services.jobs.mining_counts import MiningCounts
from services.jobs.outcomes import Outcome
from services.jobs.predictors import make_config, make_detecting_labeler, make_predictor
from services.jobs.records import JobState
from services.jobs.shard_attempts import ShardWorker
from services.places import open_checkpoint_at
from services.sources import open_source_at
from services.storage import open_store


def run_predict(spec: PredictSpec, context: JobContext) -> Outcome:
    """Runs the detector over what is not committed yet; whatever ends it, what was committed stays.

    Raises CheckpointError, SourceError, DestinationError, TooManyFailuresError, ShardFailedError, StoreError.
    """
    began = time.time()
    with context.in_stage(f"loading {spec.detector}"):
        checkpoint = open_checkpoint_at(spec.detector)
        config = make_config(spec, checkpoint)
    with context.in_stage(f"listing {spec.source[0]}"):
        source = _choose_images(spec, open_source_at(spec.source, [AUTO], destination=spec.out))
    settings = describe_predictions(
        checkpoint, config, source.store, keep_score=spec.keep_score, embed_images=spec.images == "embed"
    )
    destination = open_store(spec.out)
    planned = start_label_set(destination, *freeze_plan(assign_shards(source.rows), settings))
    context.progress.start(planned.num_rows, parts=len(planned.shards))
    counts = MiningCounts(context)
    worker = _make_worker(spec, checkpoint, settings, source.store, destination)

    def run(tasks: ShardTasks) -> Iterator[ShardEntry | FailedShard]:
        return (worker.label_shard(task, counts.begin_try) for task in tasks)

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


def _make_worker(
    spec: PredictSpec, checkpoint: Checkpoint, settings: LabelingSettings, source: Store, destination: Store
) -> ShardWorker:
    recipe = settings.recipe
    assert isinstance(recipe, PredictionRecipe)
    labeler = DetectingLabeler(make_predictor(spec, checkpoint), recipe)
    make = partial(make_detecting_labeler, spec, recipe, torch.get_num_threads())
    return ShardWorker(make, source, destination, settings, labeler)


def _choose_images(spec: PredictSpec, source: Source) -> Source:
    """The source with the images that are listed. Raises SourceError for a name that no image or several have."""
    if spec.images_from is None:
        return source
    rows = PlanRows.from_rows(source.rows)
    keys = [row.key for row in rows]
    matches, unmatched, ambiguous = match_keys(keys, read_keys(spec.images_from))
    if odd := [*unmatched, *ambiguous]:
        raise SourceError(
            f"{spec.images_from} lists {len(odd)} images that {source.store.uri} does not have, or has several times, "
            f"such as {odd[0]!r}; a key there is {keys[0]!r}"
        )
    wanted = set(matches.values())
    kept = np.flatnonzero([key in wanted for key in keys])
    return Source(source.store, rows.take(kept), problems=source.problems)


def _make_outcome(
    spec: PredictSpec, manifest: Manifest, counts: MiningCounts, began: float, num_skipped: int
) -> Outcome:
    images, tally, settings = manifest.counts, counts.tally, manifest.settings
    num_done = tally.num_ok + tally.failures.total()
    started, ended = measure_span(counts.timings) or (time.time(), time.time())
    result: dict[str, Any] = {
        **counts.describe(spec.out, manifest, num_skipped),
        "predicted_now": num_done,
        "seconds": round(time.time() - began, 2),
        "images_per_s": round(num_done / (ended - started), 2) if num_done else 0.0,
        "detector": settings.classifier,
        "recipe": settings.recipe.to_dict(),
    }
    if not images.num_ok:
        return Outcome(JobState.FAILED, result, "the detector could be run on no image")
    return Outcome(JobState.PARTIALLY_SUCCEEDED if images.num_failed else JobState.SUCCEEDED, result)
