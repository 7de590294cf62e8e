"""What galleries are made of: sweeps, the choice of rows, pictures."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dap_core.evaluation.paper_tables import NMS_IOUS, THRESHOLDS
from dap_core.gallery import SweepName, render_gallery, render_sweep
from dap_core.gallery.pictures import PAGE_BYTES, blend_heat_map, encode_picture, shrink_image
from dap_core.gallery.selection import read_rows, spread_positions
from dap_core.gallery.sweeps import make_sweep_columns
from dap_core.label_sets import LabelSet
from dap_core.mining import MiningConfig, mine_boxes
from dap_core.types import Cam
from tests.builders import encode_image, make_cam, make_pixels, make_smooth_map
from tests.mining_builders import make_mined_set
from tests.page_builders import SIZE_WH, Page, make_row, make_set, read_rectangles, sort_boxes


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> LabelSet:
    """A label set that the real labeler made of painted images, in three shards."""
    return make_mined_set(tmp_path_factory.mktemp("mined"))


@pytest.mark.parametrize("sweep", ["thresholds", "nms"])
def test_sweep_columns_are_what_mining_with_that_recipe_gives(mined: LabelSet, sweep: SweepName) -> None:
    base = mined.manifest.settings.recipe.mining
    if sweep == "nms":
        configs = [replace(base, thresholds=THRESHOLDS, nms_iou=iou) for iou in NMS_IOUS]
    else:
        configs = [replace(base, thresholds=(tau,), nms_iou=0.8) for tau in THRESHOLDS]
        configs.append(replace(base, thresholds=THRESHOLDS, nms_iou=0.8))
    expected = [
        sort_boxes(mine_boxes(row.cams, row.size_wh, config).boxes) for row in mined.rows() for config in configs
    ]
    page = Page(render_sweep(mined, sweep))
    assert np.abs(np.array(read_rectangles(page)) - np.concatenate(expected)).max() < 0.011
    counts = [int(number.replace("no", "0")) for number in re.findall(r"(\d+|no) box(?:es)?(?! per)\b", page.text)]
    assert counts == list(map(len, expected))
    assert len(page.find("td")) == 6 * len(configs)


def test_sweep_columns_are_those_of_the_figures() -> None:
    base = MiningConfig(thresholds=(0.7,), nms_iou=0.1, min_area_ratio=0.3)
    columns = make_sweep_columns(base, "thresholds")
    assert [column.name for column in columns] == ["τ = 0.2", "τ = 0.3", "τ = 0.4", "τ = 0.5", "multi"]
    assert columns[-1].config == replace(base, thresholds=THRESHOLDS, nms_iou=0.8)
    names = [column.name for column in make_sweep_columns(base, "nms")]
    assert names == [f"NMS IoU {iou}" for iou in ("0.5", "0.6", "0.7", "0.8", "0.9", "1.0")]


def test_a_sweep_holds_each_photograph_once(mined: LabelSet) -> None:
    page = Page(render_sweep(mined, "nms"))
    assert len(page.find("image")) == 6
    assert len([use for use in page.find("use") if "b" not in use["href"]]) == 6 * 5


@pytest.mark.parametrize("num_rows", [1, 7, 320, 1000])
@pytest.mark.parametrize("num_images", [1, 12, 60])
def test_positions_are_different_and_inside(num_rows: int, num_images: int) -> None:
    positions = spread_positions(num_rows, num_images)
    assert len(set(positions)) == min(num_rows, num_images)
    assert positions == sorted(positions)
    assert 0 <= positions[0] <= positions[-1] < num_rows


def test_rows_are_read_from_any_row_group_and_shard(tmp_path: Path) -> None:
    rows = [make_row(index, image=None, labels=(index % 2,)) for index in range(130)]
    label_set = make_set(tmp_path / "labels", rows, max_rows=120)
    positions = [3, 50, 99, 119, 120, 129]
    found = dict(read_rows(label_set, positions))
    assert list(found) == positions
    for position, row in found.items():
        assert row.key == rows[position].key
        assert np.array_equal(row.boxes.boxes, rows[position].boxes.boxes)
        assert np.array_equal(row.cams[0].values, rows[position].cams[0].values)


def test_a_page_of_noise_stays_within_a_few_megabytes(tmp_path: Path) -> None:
    noise = encode_image(make_pixels(400, 400), "JPEG", quality=95)
    rows = [make_row(index, image=noise) for index in range(60)]
    label_set = make_set(tmp_path / "labels", rows)
    assert len(render_gallery(label_set)) < 4_000_000
    assert len(render_sweep(label_set, "nms", num_images=60)) < 4_000_000


def test_pictures_get_smaller_until_they_fit() -> None:
    noise = make_pixels(640, 400)
    sizes = [len(encode_picture(noise, max_bytes)) for max_bytes in (10**6, 40_000, 15_000, 5_000, 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) >= 4
    assert PAGE_BYTES < 4_000_000


@pytest.mark.parametrize(
    ("size_wh", "expected"), [((640, 320), (320, 160)), ((300, 200), (300, 200)), ((3200, 160), (320, 16))]
)
def test_thumbnails_keep_the_aspect_ratio_and_never_grow(size_wh: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink_image(make_pixels(*size_wh)).shape[1::-1] == expected


def test_a_heat_map_is_bright_where_the_map_is_high() -> None:
    heat = np.zeros((60, 80), np.float32)
    heat[:, 40:] = 1
    blended = cv2.cvtColor(blend_heat_map(np.full((60, 80, 3), 128, np.uint8), heat), cv2.COLOR_RGB2GRAY)
    assert blended[:, 60:].min() > blended[:, :20].max() + 100


def test_a_map_of_passes_that_the_recipe_leaves_out_is_not_shown(tmp_path: Path) -> None:
    def make_pass(side: int) -> Cam:
        return make_cam(make_smooth_map(seed=side), size_wh=SIZE_WH, short_side=side)

    one = render_gallery(make_set(tmp_path / "one", [make_row(cams=(make_pass(288),))]))
    two = render_gallery(make_set(tmp_path / "two", [make_row(cams=(make_pass(288), make_pass(576)))]))
    assert [image["href"] for image in Page(one).find("image")] == [image["href"] for image in Page(two).find("image")]
