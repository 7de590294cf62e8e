"""Box statistics and the sweeps of tables A1 and A2, on maps solved by hand and on mined ones."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest

from dap_core.errors import InputError
from dap_core.evaluation import compute_statistics, compute_sweeps
from dap_core.evaluation.paper_tables import TABLE_A1, TABLE_A2
from dap_core.label_sets import Failure, open_label_set, verify_label_set
from dap_core.label_sets.recutting import mine_batch
from dap_core.stores import LocalStore
from tests.builders import make_cam as make_any_cam
from tests.builders import make_map, make_smooth_map
from tests.label_set_builders import make_block_cam, make_label_set, make_row
from tests.mining_builders import make_mined_set, mine_folder


def make_two_level_cam() -> object:
    """A block of 20 x 10 at 0.25 around one of 8 x 4 at 1: found whole at 0.2, inside only above."""
    values = make_map((40, 60), (10, 10, 30, 20), value=0.25)
    values[12:16, 14:22] = 1
    return make_any_cam(values)


def test_flat_blocks_are_counted_and_measured_as_the_equations_say(tmp_path: Path) -> None:
    """Image a: one flat block of 9 x 5 cells, the same box at every threshold, so NMS leaves 1 of 4.

    Image b: two flat blocks of 5 x 5 far apart, so 2 boxes per threshold and 2 of 8 after NMS.
    A flat block of n cells is sqrt(n^2 - 1) wide.
    """
    rows = [
        make_row("a", [make_block_cam((10, 10, 19, 15))]),
        make_row("b", [make_block_cam((5, 5, 10, 10), (40, 25, 45, 30))]),
    ]
    sweeps = compute_sweeps(make_label_set(tmp_path, rows))
    wide, square = sqrt(9**2 - 1), sqrt(5**2 - 1)
    for column in sweeps.by_threshold:
        assert (column.num_boxes, column.boxes_per_image) == (3, 1.5)
        assert column.mean_width == pytest.approx((wide + 2 * square) / 3, rel=1e-4)
        assert column.mean_height == pytest.approx(square, rel=1e-4)
        assert column.width_share == pytest.approx(column.mean_width / 60)
        assert column.height_share == pytest.approx(column.mean_height / 40)
        assert column.standard_error == pytest.approx(0.5 / sqrt(2))
    assert [column.num_boxes for column in sweeps.by_nms_iou] == [3, 3, 3, 3, 3, 12]


def test_thresholds_pick_their_own_boxes(tmp_path: Path) -> None:
    """At 0.2 the outer block is found, from 0.3 the inner one, whose three boxes are one after NMS."""
    sweeps = compute_sweeps(make_label_set(tmp_path, [make_row("a", [make_two_level_cam()])]))
    assert [column.num_boxes for column in sweeps.by_threshold] == [1, 1, 1, 1, 2]
    widths = [column.mean_width for column in sweeps.by_threshold]
    assert widths[1:4] == pytest.approx([sqrt(8**2 - 1)] * 3, rel=1e-3)
    assert widths[0] > widths[1]


def test_the_columns_stand_beside_the_papers(tmp_path: Path) -> None:
    sweeps = compute_sweeps(make_label_set(tmp_path, [make_row("a", [make_block_cam((10, 10, 19, 15))])]))
    assert {column.name: column.paper for column in sweeps.by_threshold} == TABLE_A1
    assert {column.name: column.paper for column in sweeps.by_nms_iou} == TABLE_A2
    assert TABLE_A1["multi"] == TABLE_A2["0.8"]


def test_the_papers_columns_keep_their_identity() -> None:
    """Without NMS there are as many boxes as the four thresholds give alone."""
    alone = sum(TABLE_A1[name].boxes_per_image for name in ("0.2", "0.3", "0.4", "0.5"))
    assert alone == pytest.approx(TABLE_A2["1.0"].boxes_per_image, abs=0.002)


def test_without_nms_the_columns_add_up(tmp_path: Path) -> None:
    rows = [make_row(f"{seed}", [make_any_cam(make_smooth_map((40, 60), seed))]) for seed in range(12)]
    sweeps = compute_sweeps(make_label_set(tmp_path, rows))
    assert sum(column.num_boxes for column in sweeps.by_threshold[:4]) == sweeps.by_nms_iou[-1].num_boxes


def test_every_column_equals_mining_with_its_recipe(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    sweeps, base = compute_sweeps(label_set), label_set.manifest.settings.recipe
    configs = [replace(base.mining, thresholds=(tau,)) for tau in (0.2, 0.3, 0.4, 0.5)] + [base.mining]
    configs += [replace(base.mining, nms_iou=iou) for iou in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    batches = [batch for entry in label_set.shards for batch in label_set.read_batches(entry)]
    for column, config in zip((*sweeps.by_threshold, *sweeps.by_nms_iou), configs, strict=True):
        mined = [item for batch in batches for item in mine_batch(batch, replace(base, mining=config))]
        assert column.num_boxes == sum(len(item.boxes) for item in mined)


def test_another_recipe_can_be_swept(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    base = label_set.manifest.settings.recipe
    flat = replace(base, mining=replace(base.mining, weight_bias=100.0))
    ours, theirs = compute_sweeps(label_set), compute_sweeps(label_set, flat)
    assert theirs.by_threshold[0].mean_width > ours.by_threshold[0].mean_width


def test_labels_of_one_image_are_counted_together(tmp_path: Path) -> None:
    cams = [make_block_cam((10, 10, 19, 15)), make_block_cam((10, 10, 19, 15), label=1)]
    sweeps = compute_sweeps(make_label_set(tmp_path, [make_row("a", cams)]))
    assert [column.boxes_per_image for column in sweeps.by_threshold] == [2.0] * 5


def test_a_set_without_maps_has_statistics_but_no_sweeps(tmp_path: Path) -> None:
    label_set = make_label_set(tmp_path, [make_row("a", [make_block_cam((10, 10, 19, 15))])], store_cams=False)
    with pytest.raises(InputError, match="holds no maps"):
        compute_sweeps(label_set)
    assert compute_statistics(label_set).num_boxes == 1


def test_statistics_count_images_boxes_and_reasons(tmp_path: Path) -> None:
    rows = [
        make_row("a", [make_block_cam((10, 10, 19, 15))]),
        make_row("b", [make_block_cam((5, 5, 10, 10), (40, 25, 45, 30), label=1)], top1=0),
        make_row("c", [make_block_cam(value=0.0)]),
    ]
    label_set = make_label_set(tmp_path, rows, failures=[Failure("d", "empty-image", "the file is empty")])
    assert verify_label_set(label_set) == []
    statistics = compute_statistics(label_set)
    assert (statistics.num_images, statistics.num_failed, statistics.num_boxes) == (3, 1, 3)
    assert (statistics.num_labels, statistics.no_box_reasons) == (2, {"flat-map": 1})
    assert statistics.mean_image_wh == (60.0, 40.0)
    assert statistics.boxes_per_image.counts == (1, 1, 1, 0, 0, 0, 0, 0, 0)
    assert sum(statistics.relative_size.counts) == sum(statistics.aspect.counts) == 3
    assert statistics.top1_agreement == pytest.approx(2 / 3)
    assert statistics.mean_score == pytest.approx(1.0)
    assert statistics.scores.counts == (0, 0, 0, 0, 0, 0, 0, 0, 0, 3)


def test_an_empty_set_has_statistics(tmp_path: Path) -> None:
    label_set = make_label_set(tmp_path, [], failures=[Failure("d", "empty-image", "the file is empty")])
    assert compute_statistics(label_set).mean_boxes_per_image == 0
    assert compute_sweeps(label_set).by_threshold[0].boxes_per_image == 0


def test_statistics_need_no_torch() -> None:
    code = "import sys, dap_core.evaluation, dap_core.plots, dap_core.gallery; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_data
def test_counts_on_imagenet_images_come_near_the_papers(data_dir: Path, tmp_path: Path) -> None:
    """Ten images, whose counts chance moves by up to a third, in the paper's order."""
    from dap_core import PseudoLabeler

    folder = tmp_path / "images"
    for path in sorted((data_dir / "imagenet-320").glob("*/*.JPEG"))[::32]:
        (folder / path.parent.name).mkdir(parents=True)
        (folder / path.parent.name / path.name).symlink_to(path)
    mine_folder(PseudoLabeler(), folder, LocalStore(tmp_path / "labels"), max_rows=50)
    sweeps = compute_sweeps(open_label_set(tmp_path / "labels"))
    for column in (*sweeps.by_threshold, *sweeps.by_nms_iou):
        assert column.boxes_per_image == pytest.approx(column.paper.boxes_per_image, rel=0.35)
    widths = [column.mean_width for column in sweeps.by_threshold[:4]]
    assert widths == sorted(widths, reverse=True)
    counts = [column.boxes_per_image for column in sweeps.by_nms_iou]
    assert counts == sorted(counts)
