"""Label sets of hand-made rows: no network, any maps and boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dap_core.label_sets import Failure, LabelSet, LabelSetRow, PlanRow, open_label_set
from dap_core.label_sets.plan import freeze_plan
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry, ShardFooter, commit_shard, rows_to_batches
from dap_core.mining import MiningConfig, mine_boxes
from dap_core.passes import CamConfig
from dap_core.recipes import Recipe
from dap_core.stores import LocalStore
from dap_core.types import Cam, ClassList
from tests.builders import encode_image, make_cam, make_map, make_scene

PIXEL_RECIPE = Recipe(
    name="pixel", cam=CamConfig(short_sides=(288,), mirror=False), mining=MiningConfig(grid_short_side=40)
)
"""Cuts maps of 40 x 60 cells on an image of 60 x 40 pixels: one sample per cell and pixel."""
SIZE_WH = (60, 40)


def make_block_cam(*blocks: tuple[int, int, int, int], label: int = 0, value: float = 1.0, side: int = 288) -> Cam:
    """A map of 40 x 60 cells that is 0 but for flat blocks (x1, y1, x2, y2)."""
    return make_cam(make_map((40, 60), *blocks, value=value), label=label, short_side=side)


def make_row(
    key: str,
    cams: Sequence[Cam],
    *,
    recipe: Recipe = PIXEL_RECIPE,
    top1: int = 0,
    label_score: float = 0.5,
    image: bytes | None = None,
) -> LabelSetRow:
    """A row whose boxes are what `recipe` cuts from `cams`; its image is a grey picture unless given."""
    data = encode_image(make_scene(SIZE_WH, (10, 10, 40, 30), (120, 120, 120))) if image is None else image
    labels = tuple(dict.fromkeys(cam.label for cam in cams))
    mined = mine_boxes(cams, SIZE_WH, recipe.mining)
    return LabelSetRow(
        key=key,
        image=data,
        size_wh=SIZE_WH,
        labels=labels,
        label_scores=(label_score,) * len(labels),
        top1=top1,
        top1_score=max(label_score, 0.25),
        boxes=mined.boxes,
        no_box_reasons=mined.no_box_reasons,
        cams=tuple(cams),
        etag="etag",
        sha256=hashlib.sha256(data).hexdigest(),
        exif_orientation=1,
    )


def make_label_set(
    root: Path,
    rows: Sequence[LabelSetRow],
    *,
    failures: Sequence[Failure] = (),
    recipe: Recipe = PIXEL_RECIPE,
    class_names: Sequence[str] = ("red", "blue"),
    source: str = "/images",
    embed_images: bool = True,
    store_cams: bool = True,
) -> LabelSet:
    """A complete label set of these rows and failures, in one shard."""
    settings = LabelingSettings(
        recipe=recipe,
        classes=ClassList.from_pairs((f"x{index}", name) for index, name in enumerate(class_names)),
        classifier="toy",
        weights_sha256="0" * 64,
        engine="torch",
        precision="float32",
        source=source,
        embed_images=embed_images,
        store_cams=store_cams,
    )
    store = LocalStore(root)
    listed = tuple(PlanRow(item.key, "etag", 1, ("x0",)) for item in (*rows, *failures))
    plan = start_label_set(store, *freeze_plan({0: listed}, settings))
    stored = [
        replace(row, image=row.image if embed_images else None, cams=row.cams if store_cams else ()) for row in rows
    ]

    def make_shard(_rows: tuple[PlanRow, ...], footer: ShardFooter) -> ShardEntry:
        return commit_shard(store, rows_to_batches(stored), failures, footer)

    run_plan(store, plan, make_shard)
    return open_label_set(store)
