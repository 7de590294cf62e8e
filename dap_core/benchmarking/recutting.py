"""`dap bench recut`: images per second of cutting boxes again, reading and merging included."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from statistics import median

from dap_core.label_sets import LabelSet
from dap_core.label_sets.recutting import ShardRecutter, mine_batch, plan_recut
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.recipes import RECIPES
from dap_core.stores import LocalStore


@dataclass(frozen=True, slots=True)
class RecuttingSpeed:
    """Images per second of one recipe in this process: cutting alone, and into a new label set without images."""

    recipe: str
    cut_images_per_s: float
    recut_images_per_s: float


def measure_recutting(label_set: LabelSet, *, repeats: int = 3) -> list[RecuttingSpeed]:
    """The median of `repeats` for each named recipe, at the passes of the label set.

    Raises InputError when the set holds no maps.
    """
    cam = label_set.manifest.settings.mining_recipe.cam
    speeds = []
    for recipe in RECIPES.values():
        chosen = replace(recipe, cam=cam)
        num_images = label_set.manifest.counts.num_ok
        cut, whole = [], []
        for _ in range(repeats):
            started = time.perf_counter()
            for entry in label_set.shards:
                for batch in label_set.read_batches(entry, images=False):
                    mine_batch(batch, chosen)
            cut.append(num_images / (time.perf_counter() - started))
            with tempfile.TemporaryDirectory() as folder:
                destination = LocalStore(folder)
                started = time.perf_counter()
                plan = start_label_set(destination, *plan_recut(label_set, chosen, keep_images=False))
                run_plan(destination, plan, ShardRecutter(label_set, destination, chosen, keep_images=False))
                whole.append(num_images / (time.perf_counter() - started))
        speeds.append(RecuttingSpeed(recipe.name, median(cut), median(whole)))
    return speeds
