"""Label sets written row by row, and a reader of the pages made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from dap_core.label_sets import Failure, LabelSet, LabelSetRow, open_label_set
from dap_core.label_sets.manifest import Manifest, Segment, write_manifest
from dap_core.label_sets.plan import PlanRow, freeze_plan
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardFooter, commit_shard, rows_to_batches
from dap_core.mining import MiningConfig, mine_boxes
from dap_core.passes import CamConfig
from dap_core.recipes import Recipe
from dap_core.stores import LocalStore
from dap_core.types import ClassList, PseudoBoxes
from tests.builders import encode_image, make_cam, make_classes, make_smooth_map, make_smooth_pixels

SIZE_WH = (120, 90)
RECIPE = Recipe(name="small", cam=CamConfig(short_sides=(288,), mirror=False), mining=MiningConfig(grid_short_side=48))
_VOID = {"meta", "input", "br", "img", "link", "hr"}  # elements without an end tag


@dataclass
class Page(HTMLParser):
    """A parsed page: every element with its attributes, the text, and whether tags are balanced."""

    html: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert not self.open_tags

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text, white space collapsed."""
        return " ".join(" ".join(self.texts).split())

    def find(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of every such element; `class_` stands for class."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]


def make_row(index: int = 0, *, labels: tuple[int, ...] = (0,), **changes: object) -> LabelSetRow:
    """A row with an embedded image, soft maps and the boxes that RECIPE cuts from them."""
    cams = tuple(make_cam(make_smooth_map(seed=10 * index + label), label=label, size_wh=SIZE_WH) for label in labels)
    mined = mine_boxes(cams, SIZE_WH, RECIPE.mining)
    row = LabelSetRow(
        key=f"x0/image {index:03d}.png",
        image=encode_image(make_smooth_pixels(*SIZE_WH)),
        size_wh=SIZE_WH,
        labels=labels,
        label_scores=tuple(0.75 / (place + 1) for place in range(len(labels))),
        top1=labels[0] if labels else 0,
        top1_score=0.75,
        boxes=mined.boxes,
        no_box_reasons=mined.no_box_reasons,
        cams=cams,
        etag="",
        sha256="",
        exif_orientation=1,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def make_set(
    root: Path,
    rows: Sequence[LabelSetRow],
    *,
    failures: Sequence[Failure] = (),
    classes: ClassList | None = None,
    store_cams: bool = True,
    max_rows: int = 1000,
) -> LabelSet:
    """A complete label set of exactly these rows, in shards of at most `max_rows`."""
    store = LocalStore(root)
    settings = LabelingSettings(
        recipe=RECIPE,
        classes=classes or make_classes(),
        classifier="toy",
        weights_sha256="0" * 64,
        engine="torch",
        precision="float32",
        source=str(root.parent / "images"),
        store_cams=store_cams,
    )
    parts = [rows[start : start + max_rows] for start in range(0, max(1, len(rows)), max_rows)]
    keys = [[row.key for row in part] for part in parts]
    keys[-1] += [failure.key for failure in failures]
    plan, data = freeze_plan(
        {shard: tuple(PlanRow(key, "", 0, ("x0",)) for key in part) for shard, part in enumerate(keys)}, settings
    )
    store.put(f"plans/{plan.sha256}.parquet", data)
    entries = [
        commit_shard(
            store,
            rows_to_batches(part),
            failures if shard == len(parts) - 1 else (),
            ShardFooter(shard, plan.compute_shard_key(shard) if keys[shard] else "", None, 0, 0, 0),
        )
        for shard, part in enumerate(parts)
    ]
    write_manifest(store, Manifest(settings, (Segment(plan.sha256, plan.num_rows, tuple(entries)),)))
    return open_label_set(store)


def read_rectangles(page: Page) -> list[tuple[float, float, float, float]]:
    """Corners of every drawn box, in page order."""
    corners = []
    for rect in page.find("rect"):
        left, top, width, height = (float(rect[name]) for name in ("x", "y", "width", "height"))
        corners.append((left, top, left + width, top + height))
    return corners


def sort_boxes(boxes: PseudoBoxes) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Boxes in the order of a page: the largest first."""
    corners = boxes.boxes
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return corners[np.argsort(-areas, kind="stable")]
