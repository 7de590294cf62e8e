"""Cutting boxes again from stored maps, into a new label set; no network is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from dap_core.errors import InputError, LabelSetError
from dap_core.label_sets.plan import Plan, PlanRow, freeze_plan
from dap_core.label_sets.reader import LabelSet
from dap_core.label_sets.schema import IMAGE_TYPE, SHARD_SCHEMA, boxes_to_columns, cams_from_batch
from dap_core.label_sets.segments import find_superseded, is_current
from dap_core.label_sets.shards import ShardEntry, ShardFooter, commit_shard, read_failures
from dap_core.mining import mine_boxes
from dap_core.passes import select_passes
from dap_core.recipes import Recipe
from dap_core.stores import Store
from dap_core.types import MinedBoxes

OnBatch = Callable[[int], None]


@dataclass(frozen=True)
class ShardRecutter:
    """Cuts the shards of one label set again with another recipe; a `runner.MakeShard`.

    Everything but the boxes is taken over as it is, failures included, and image bytes unless `keep_images` is off.
    """

    parent: LabelSet
    destination: Store
    recipe: Recipe
    keep_images: bool = True
    on_batch: OnBatch = lambda _num_images: None

    def __call__(self, rows: tuple[PlanRow, ...], footer: ShardFooter) -> ShardEntry:
        """Cuts and commits the shard of the same number."""
        [entry] = [entry for entry in self.parent.shards if entry.footer.shard == footer.shard]
        listed = read_failures(self.parent.store, entry.footer.failures) if entry.footer.failures else []
        failures = [one for one in listed if is_current(one, self._superseded(footer.shard))]
        if entry.footer.num_ok + len(failures) != len(rows):
            raise LabelSetError(f"{entry.data} does not hold the {len(rows)} images of its plan; run dap verify")
        return commit_shard(self.destination, self._recut_batches(entry), failures, footer)

    def _superseded(self, shard: int) -> set[str]:
        pairs = zip(self.parent.planned.segments, self._superseded_of_segments, strict=True)
        return next(keys for plan, keys in pairs if shard in plan.shards)

    @cached_property
    def _superseded_of_segments(self) -> list[set[str]]:
        return find_superseded(self.parent.planned)

    def _recut_batches(self, entry: ShardEntry) -> Iterator[pa.RecordBatch]:
        for batch in self.parent.read_batches(entry, images=self.keep_images):
            yield recut_batch(batch, self.recipe)
            self.on_batch(batch.num_rows)


def recut_batch(batch: pa.RecordBatch, recipe: Recipe) -> pa.RecordBatch:
    """The same rows with boxes cut by `recipe` from their stored maps; images are null when they were not read."""
    mined = mine_batch(batch, recipe)
    columns = {"image": pa.nulls(batch.num_rows, IMAGE_TYPE)}
    columns |= dict(zip(batch.schema.names, batch.columns, strict=True))
    columns |= boxes_to_columns([item.boxes for item in mined], [item.no_box_reasons for item in mined])
    return pa.record_batch([columns[name] for name in SHARD_SCHEMA.names], schema=SHARD_SCHEMA)


def mine_batch(batch: pa.RecordBatch, recipe: Recipe) -> list[MinedBoxes]:
    """The boxes that `recipe` cuts from the stored maps of each row."""
    sizes = zip(batch.column("width").to_pylist(), batch.column("height").to_pylist(), strict=True)
    return [
        mine_boxes(select_passes(cams, recipe.cam), size_wh, recipe.mining)
        for cams, size_wh in zip(cams_from_batch(batch), sizes, strict=True)
    ]


def plan_recut(parent: LabelSet, recipe: Recipe, *, keep_images: bool = True) -> tuple[Plan, bytes]:
    """The plan, and its object, of a label set cut again from `parent`: the same images in the same shards.

    Raises InputError when the parent holds no maps, or not those of the passes that `recipe` needs.
    """
    settings = parent.manifest.settings
    stored = settings.mining_recipe.cam
    if not settings.store_cams:
        raise InputError(f"{parent.store.uri} was mined without storing maps, so boxes cannot be cut again")
    missing = set(recipe.cam.short_sides) - set(stored.short_sides)
    if missing or (recipe.cam.mirror and not stored.mirror):
        raise InputError(
            f"recipe {recipe.name} needs the passes {_describe(recipe)}, "
            f"{parent.store.uri} holds {_describe(settings.mining_recipe)}"
        )
    shards = {
        shard: _drop_first(rows, superseded)
        for plan, superseded in zip(parent.planned.segments, find_superseded(parent.planned), strict=True)
        for shard, rows in plan.shards.items()
    }
    return freeze_plan(shards, settings.replace_recipe(recipe, parent.sha256, keep_images))


def _drop_first(rows: tuple[PlanRow, ...], keys: set[str]) -> tuple[PlanRow, ...]:
    """The rows without those whose images are tried again later; further rows of such a key are duplicates and stay."""
    remaining = set(keys)
    kept = []
    for row in rows:
        if row.key in remaining:
            remaining.discard(row.key)
        else:
            kept.append(row)
    return tuple(kept)


def _describe(recipe: Recipe) -> str:
    mirrored = " mirrored" if recipe.cam.mirror else ""
    return "/".join(map(str, recipe.cam.short_sides)) + mirrored
