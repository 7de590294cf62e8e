"""Jobs of kind recut: boxes cut again from the stored maps of a label set; no network is run."""

from __future__ import annotations

import time

from dap_core.label_sets import LabelSet
from dap_core.label_sets.recutting import ShardRecutter, plan_recut
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.recipes import Recipe, customise_recipe, get_recipe
from services.jobs.context import JobContext
from services.jobs.outcomes import Outcome
from services.jobs.records import JobState
from services.jobs.specs import RecutSpec
from services.places import local_path, open_label_set_at, refuse_inside
from services.storage import open_store


def run_recut(spec: RecutSpec, context: JobContext) -> Outcome:
    """Cuts boxes again into a new label set; images, labels and failures are taken over.

    Raises LabelSetError when the set holds no maps or not those that are asked for, DestinationError, StoreError.
    """
    with context.in_stage(f"reading {spec.label_set}"):
        parent = open_label_set_at(spec.label_set)
        _check_destination(spec, parent)
    recipe = _choose_recipe(spec, parent)
    destination = open_store(spec.out)
    keep = spec.images == "keep"
    plan = start_label_set(destination, *plan_recut(parent, recipe, keep_images=keep))
    context.progress.start(parent.manifest.counts.num_ok, parts=1)
    started = time.perf_counter()

    def count(num_images: int) -> None:
        context.progress.add(num_images)
        context.report()

    manifest = run_plan(destination, plan, ShardRecutter(parent, destination, recipe, keep, count))
    seconds = time.perf_counter() - started
    counts = manifest.counts
    return Outcome(
        JobState.SUCCEEDED,
        {
            "label_set": spec.out,
            "recipe": recipe.name,
            "images": counts.num_ok,
            "boxes": counts.num_boxes,
            "boxes_per_image": round(counts.num_boxes / counts.num_ok, 3) if counts.num_ok else 0.0,
            "seconds": round(seconds, 3),
            "images_per_s": round(counts.num_ok / seconds, 1),
        },
    )


def _choose_recipe(spec: RecutSpec, parent: LabelSet) -> Recipe:
    """That of the label set or the named one, with the changes of the spec. Raises LabelSetError, ValueError."""
    return customise_recipe(
        parent.manifest.settings.mining_recipe if spec.recipe is None else get_recipe(spec.recipe),
        short_sides=spec.short_sides,
        thresholds=spec.thresholds,
        nms_iou=spec.nms_iou,
    )


def _check_destination(spec: RecutSpec, parent: LabelSet) -> None:
    refuse_inside(spec.out, parent.store.uri)
    if (folder := local_path(spec.out)) is not None:
        parent.check_outside(folder)
