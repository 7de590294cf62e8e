"""Small real label sets: a labeler that sees colours, painted images, and a whole run in one call."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from dap_core import PseudoLabeler
from dap_core.datasets import Source, open_source
from dap_core.engines import Engine, make_engine
from dap_core.label_sets import LabelSet, Manifest, open_label_set
from dap_core.label_sets.labeling import ShardLabeler, make_settings
from dap_core.label_sets.plan import Plan, assign_shards, freeze_plan
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.mining import MiningConfig
from dap_core.passes import CamConfig
from dap_core.recipes import Recipe
from dap_core.stores import LocalStore, Store
from tests.builders import encode_image, make_scene, make_toy_classifier

SMALL_RECIPE = Recipe(name="small", cam=CamConfig(short_sides=(64, 96)), mining=MiningConfig(grid_short_side=48))


@cache
def make_toy_engine() -> Engine:
    """The fastest engine of this machine with the toy classifier; one for all tests, as it keeps no state."""
    return make_engine(make_toy_classifier())


def make_labeler() -> PseudoLabeler:
    """A real labeler whose classifier knows the classes red (x0) and blue (x1)."""
    return PseudoLabeler(recipe=SMALL_RECIPE, engine=make_toy_engine())


def write_colour_folder(root: Path, num_images: int = 6) -> Path:
    """An ImageNet-style folder of painted images: x0 holds red rectangles, x1 blue ones."""
    for index in range(num_images):
        wnid, colour = (("x0", (255, 0, 0)), ("x1", (0, 0, 255)))[index % 2]
        left = 20 + 15 * (index % 5)
        scene = make_scene((200 + 8 * (index % 3), 150), (left, 30, left + 80, 110), colour)
        path = root / wnid / f"image {index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(scene))
    return root


def plan_folder(labeler: PseudoLabeler, folder: Path, *, max_rows: int = 2, **options: bool) -> tuple[Plan, bytes]:
    """The plan of a folder with shards of at most `max_rows` images."""
    return plan_source(labeler, open_source([folder]), max_rows=max_rows, **options)


def plan_source(labeler: PseudoLabeler, source: Source, *, max_rows: int = 1000, **options: bool) -> tuple[Plan, bytes]:
    """The plan of a source with shards of at most `max_rows` images."""
    settings = make_settings(labeler, source.store, **options)
    return freeze_plan(assign_shards(source.rows, max_rows=max_rows), settings)


def mine_folder(labeler: PseudoLabeler, folder: Path, store: Store, *, max_rows: int = 2, **options: bool) -> Manifest:
    """Mines a folder into a store, resuming what is there."""
    return mine_source(labeler, open_source([folder]), store, max_rows=max_rows, **options)


def mine_source(
    labeler: PseudoLabeler, source: Source, store: Store, *, max_rows: int = 1000, **options: bool
) -> Manifest:
    """Mines a source into a store, resuming what is there."""
    plan = start_label_set(store, *plan_source(labeler, source, max_rows=max_rows, **options))
    return run_plan(store, plan, ShardLabeler(labeler, source.store, store, plan.settings))


def make_mined_set(tmp_path: Path, *, num_images: int = 6, max_rows: int = 2, **options: bool) -> LabelSet:
    """A complete label set of painted images under `tmp_path / "labels"`."""
    folder = write_colour_folder(tmp_path / "images", num_images)
    mine_folder(make_labeler(), folder, LocalStore(tmp_path / "labels"), max_rows=max_rows, **options)
    return open_label_set(tmp_path / "labels")
