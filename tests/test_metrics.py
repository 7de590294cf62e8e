"""Localisation metrics: worked by hand, against a second implementation, and against pycocotools."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from dap_core.evaluation import compare_overlaps, map_classes, match_truth, measure_overlaps, summarise_overlaps
from dap_core.evaluation.overlaps import TIGHT_SHORT_SIDE, Overlaps, cut_tight_boxes
from dap_core.label_sets import LabelSet
from dap_core.merging import MergedMap, compute_grid_size, sample_map
from dap_core.mining import merge_cams, mine_boxes
from tests.builders import make_cam, make_map, make_smooth_map
from tests.label_set_builders import PIXEL_RECIPE, SIZE_WH, make_block_cam, make_label_set, make_row
from tests.truth_builders import Drawn, make_annotations

Box = tuple[float, float, float, float]


def measure(label_set: LabelSet, drawn: Drawn) -> Overlaps:
    truth = make_annotations(drawn)
    return measure_overlaps(label_set, match_truth(label_set, truth, map_classes(truth, label_set.classes)))


def summarise(overlaps: Overlaps) -> dict[str, float]:
    return {metric.name: metric.value for metric in summarise_overlaps(overlaps)}


def iou(a: Box, b: Box) -> float:
    """Intersection over union from its definition."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


# ---------------------------------------------------------------- by hand


@pytest.fixture
def by_hand(tmp_path: Path) -> Overlaps:
    """Flat blocks of 5 x 5, whose box is sqrt(24) = 4.899 wide, in four images; truth as the tests say."""
    rows = [
        make_row("found", [make_block_cam((10, 10, 15, 15))]),
        make_row("missed", [make_block_cam((10, 10, 15, 15))], top1=1),
        make_row("blue", [make_block_cam((10, 10, 15, 15), label=1)], top1=1),
        make_row("flat", [make_block_cam(value=0.0)]),
    ]
    return measure(
        make_label_set(tmp_path, rows),
        {
            "found": [("red", (10, 10, 15, 15)), ("red", (50, 30, 55, 35))],
            "missed": [("red", (30, 20, 40, 30))],
            "blue": [("blue", (12, 9, 17, 14))],
            "flat": [("red", (0, 0, 30, 20))],
        },
    )


def test_corloc_is_a_mean_over_classes_and_gt_known_one_over_images(by_hand: Overlaps):
    """Red: 1 of 3. Blue: the box from 10.05 to 14.95 meets (12, 9, 17, 14) in 2.95 x 3.95, IoU 0.315: 0 of 1."""
    metrics = summarise(by_hand)
    assert metrics["top_box_corloc"] == metrics["any_box_corloc"] == pytest.approx((1 / 3 + 0) / 2)
    assert metrics["gt_known_loc"] == metrics["top1_loc"] == pytest.approx(1 / 4)
    assert metrics["boxes_per_label"] == pytest.approx(3 / 4)


def test_recall_counts_every_drawn_box(by_hand: Overlaps):
    """Found: IoU 24 / 25 = 0.96 with one of red's four boxes at all ten IoUs, so 1/4; blue none."""
    assert summarise(by_hand)["average_recall"] == pytest.approx((1 / 4 + 0) / 2)


def test_max_box_acc_shares_one_threshold(by_hand: Overlaps):
    """Of four pairs one is right at IoU 0.5 and 0.7; blue (0.315, or 0.316 tight) counts at 0.3."""
    metrics = summarise(by_hand)
    for rule in ("own", "tight"):
        assert metrics[f"max_box_acc_{rule}"] == pytest.approx(1 / 4)
        assert metrics[f"max_box_acc_v2_{rule}"] == pytest.approx((2 / 4 + 1 / 4 + 1 / 4) / 3)


def test_offsets_are_signed_and_in_shares_of_the_shorter_side(by_hand: Overlaps):
    """Blue's box lies 2 px left of and 1 px below its truth, red's on it, missed ones say nothing; 40 px is the side.

    The side of a box of sqrt(24) over that of 5 is sqrt(24) / 5 for both.
    """
    metrics = summarise(by_hand)
    assert (metrics["dx"], metrics["dy"]) == pytest.approx(((0 - 2) / 2 / 40, (0 + 1) / 2 / 40), abs=1e-6)
    assert metrics["size_bias"] == pytest.approx(np.sqrt(24) / 5 - 1, abs=1e-6)


def test_the_threshold_of_max_box_acc_is_not_chosen_per_image(tmp_path: Path):
    """Each image has its truth at another level: round the outer block in a, the inner one in b."""
    values = make_map((40, 60), (10, 10, 40, 30), value=0.45)
    values[15:25, 20:30] = 1
    rows = [make_row(key, [make_cam(values)]) for key in ("a", "b")]
    drawn = {"a": [("red", (10, 10, 40, 30))], "b": [("red", (20, 15, 30, 25))]}
    overlaps = measure(make_label_set(tmp_path, rows), drawn)
    metrics = summarise(overlaps)
    assert metrics["max_box_acc_own"] == metrics["max_box_acc_tight"] == 0.5
    assert metrics["any_box_corloc"] == 1
    assert overlaps.own_any is not None
    assert (overlaps.own_any.max(axis=1) > 0.7).all()


def test_the_floor_is_one_size_for_all_images(tmp_path: Path):
    """Truth is the whole image in a and b, its middle half in c: size 1 is right for two of three."""
    rows = [make_row(key, [make_block_cam((10, 10, 15, 15))]) for key in ("a", "b", "c")]
    whole, middle = (0, 0, 60, 40), (20, 13, 40, 27)
    overlaps = measure(
        make_label_set(tmp_path, rows), {"a": [("red", whole)], "b": [("red", whole)], "c": [("red", middle)]}
    )
    floors = {metric.name: metric.floor for metric in summarise_overlaps(overlaps)}
    assert floors["max_box_acc_own"] == floors["top_box_corloc"] == floors["gt_known_loc"] == pytest.approx(2 / 3)
    assert floors["dx"] is None


def test_tight_rectangles_go_round_every_component_largest_first():
    values = make_map((6, 8), (0, 0, 1, 1)) + make_map((6, 8), (2, 2, 5, 4))
    boxes = cut_tight_boxes(values, (80, 60), (0.0, 0.99))
    assert boxes.boxes.tolist() == [[20, 20, 50, 40], [0, 0, 10, 10]] * 2
    assert boxes.thresholds.tolist() == pytest.approx([0, 0, 0.99, 0.99])


# ---------------------------------------------------------------- against a second implementation


@pytest.fixture(scope="module")
def at_random(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelSet, dict[str, list[tuple[str, Box]]]]:
    """Thirty images, mostly of one label, soft maps, one to three drawn boxes near a mined one or away from it."""
    rng = np.random.default_rng(5)
    rows, drawn = [], defaultdict(list)
    for index in range(30):
        labels = [int(index % 5 == 0)] if index % 4 else [0, 1]
        cams = [make_cam(make_smooth_map((40, 60), 10 * index + label), label=label) for label in labels]
        row = make_row(f"{index}.png", cams, top1=int(rng.integers(2)))
        rows.append(row)
        for label in labels:
            near = rng.choice(row.boxes.boxes[row.boxes.labels == label])
            for _ in range(int(rng.integers(1, 4))):
                x1, y1, x2, y2 = near + rng.normal(0, 5, 4) if rng.random() < 0.7 else rng.uniform(0, 30, 4)
                box = (max(0, min(x1, 55)), max(0, min(y1, 35)), min(60, max(x2, x1 + 5)), min(40, max(y2, y1 + 5)))
                drawn[row.key].append((("red", "blue")[label], box))
    return make_label_set(tmp_path_factory.mktemp("random"), rows), dict(drawn)


def slow_metrics(label_set: LabelSet, drawn: Drawn) -> dict[str, float]:
    """The definitions in plain loops, from rows and truth."""
    pairs = []
    for row in label_set.rows():
        for label in row.labels:
            truth = [tuple(np.float32(box).tolist()) for name, box in drawn[row.key] if name == ("red", "blue")[label]]
            if truth:
                pairs.append((row, label, truth))
    by_class = defaultdict(list)
    for row, label, truth in pairs:
        mine = [box.xyxy.tolist() for box in row.boxes if box.label == label]
        overlaps = [max(iou(box, other) for other in truth) for box in mine]
        by_class[label].append((overlaps[0] >= 0.5, max(overlaps) >= 0.5, row.top1 == label))
    everything = [item for items in by_class.values() for item in items]
    metrics = {
        "top_box_corloc": np.mean([np.mean([top for top, _, _ in items]) for items in by_class.values()]),
        "any_box_corloc": np.mean([np.mean([found for _, found, _ in items]) for items in by_class.values()]),
        "gt_known_loc": np.mean([top for top, _, _ in everything]),
        "top1_loc": np.mean([top and first for top, _, first in everything]),
    }
    for rule, cut in (("own", slow_own_boxes), ("tight", slow_tight_boxes)):
        best = dict.fromkeys((0.3, 0.5, 0.7), 0.0)
        best_of_largest = 0.0
        for step in range(100):
            found = [cut(row, label, step / 100) for row, label, _ in pairs]
            ious = [
                [max(iou(box, other) for other in truth) for box in boxes]
                for boxes, (_, _, truth) in zip(found, pairs, strict=True)
            ]
            for least in best:
                best[least] = max(best[least], np.mean([max(values, default=0) >= least for values in ious]))
            best_of_largest = max(best_of_largest, np.mean([bool(values) and values[0] >= 0.5 for values in ious]))
        metrics[f"max_box_acc_{rule}"] = best_of_largest
        metrics[f"max_box_acc_v2_{rule}"] = np.mean(list(best.values()))
    return metrics


def slow_own_boxes(row, label: int, threshold: float) -> list[Box]:
    config = replace(PIXEL_RECIPE.mining, thresholds=(threshold,), nms_iou=1.0)
    boxes = mine_boxes([cam for cam in row.cams if cam.label == label], row.size_wh, config).boxes.boxes.tolist()
    return sorted(boxes, key=lambda box: -(box[2] - box[0]) * (box[3] - box[1]))


def slow_tight_boxes(row, label: int, threshold: float) -> list[Box]:
    merged = merge_cams([cam for cam in row.cams if cam.label == label], row.size_wh, PIXEL_RECIPE.mining)
    assert isinstance(merged, MergedMap)
    wide, high = compute_grid_size(row.size_wh, TIGHT_SHORT_SIDE)
    labelled, _ = ndimage.label(sample_map(merged, row.size_wh, (wide, high)) > np.float32(threshold), np.ones((3, 3)))
    sizes = np.bincount(labelled.ravel())[1:]
    boxes = [
        (across.start * 60 / wide, down.start * 40 / high, across.stop * 60 / wide, down.stop * 40 / high)
        for down, across in ndimage.find_objects(labelled)
    ]
    return [boxes[index] for index in np.argsort(-sizes, kind="stable")]


def test_a_second_implementation_from_the_definitions_agrees(at_random):
    label_set, drawn = at_random
    found, expected = summarise(measure(label_set, drawn)), slow_metrics(label_set, drawn)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert len(set(expected.values())) > 5  # the figures differ, so that a swap would show


def test_average_recall_is_that_of_pycocotools(at_random, capsys):
    label_set, drawn = at_random
    truth, found = COCO(), []
    truth.dataset = {
        "images": [{"id": index} for index in range(30)],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [],
    }
    for row in label_set.rows():
        image_id = int(row.key.removesuffix(".png"))
        for name, box in drawn[row.key]:
            x1, y1, x2, y2 = np.float32(box).tolist()
            item = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            number = len(truth.dataset["annotations"]) + 1
            category = 1 + ("red", "blue").index(name)
            truth.dataset["annotations"].append(item | {"id": number, "image_id": image_id, "category_id": category})
        for rank, one in enumerate(row.boxes):
            x1, y1, x2, y2 = one.xyxy.tolist()
            bbox = [x1, y1, x2 - x1, y2 - y1]
            found.append({"image_id": image_id, "category_id": one.label + 1, "bbox": bbox, "score": 1 - rank / 100})
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert summarise(measure(label_set, drawn))["average_recall"] == pytest.approx(evaluation.stats[8], abs=1e-9)


# ---------------------------------------------------------------- intervals


def test_intervals_hold_the_value_and_narrow_with_more_images(at_random, tmp_path: Path):
    label_set, drawn = at_random
    rows = list(label_set.rows(images=True))
    several = make_label_set(tmp_path, [replace(row, key=f"{time}-{row.key}") for time in range(4) for row in rows])
    more = {f"{time}-{key}": boxes for time in range(4) for key, boxes in drawn.items()}
    few, many = (summarise_overlaps(measure(*args)) for args in ((label_set, drawn), (several, more)))
    for one, other in zip(few, many, strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-6)
        if not one.name.startswith("max_box"):  # a maximum is pulled up by chance
            assert one.low <= one.value <= one.high
        assert (other.high - other.low) == pytest.approx((one.high - one.low) / 2, rel=0.45)


def test_intervals_are_those_of_a_binomial_when_each_image_has_one_label(tmp_path: Path):
    """Half of 100 images found: 0.5 +- 1.96 * 0.05, whatever the seed."""
    rows = [make_row(f"{index}", [make_block_cam((10, 10, 15, 15))]) for index in range(100)]
    drawn = {f"{index}": [("red", (10, 10, 15, 15) if index % 2 else (30, 20, 40, 30))] for index in range(100)}
    overlaps = measure(make_label_set(tmp_path, rows), drawn)
    for seed in (0, 1):
        metric = next(one for one in summarise_overlaps(overlaps, seed=seed) if one.name == "gt_known_loc")
        assert (metric.low, metric.value, metric.high) == pytest.approx((0.402, 0.5, 0.598), abs=0.015)


def test_pairs_of_one_image_are_resampled_together(tmp_path: Path):
    """Two labels per image that stand and fall together: as few independent cases as images."""
    block = (10, 10, 15, 15)
    rows = [make_row(f"{i}", [make_block_cam(block), make_block_cam(block, label=1)]) for i in range(50)]
    found, missed = (10, 10, 15, 15), (30, 20, 40, 30)
    drawn = {f"{i}": [(name, found if i % 2 else missed) for name in ("red", "blue")] for i in range(50)}
    overlaps = measure(make_label_set(tmp_path, rows), drawn)
    metric = next(one for one in summarise_overlaps(overlaps) if one.name == "gt_known_loc")
    assert metric.high - metric.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 50), rel=0.12)


def test_a_set_compared_with_itself_differs_by_nothing(at_random):
    overlaps = measure(*at_random)
    assert all((one.value, one.low, one.high) == (0, 0, 0) for one in compare_overlaps(overlaps, overlaps))


def test_differences_are_paired(at_random):
    """One more pair found among 40 is a sure gain, though each figure alone is uncertain by far more."""
    label_set, drawn = at_random
    overlaps = measure(label_set, drawn)
    better = replace(overlaps, top_iou=np.where(np.arange(len(overlaps)) < 8, 1, overlaps.top_iou).astype(np.float32))
    gain = next(one for one in compare_overlaps(better, overlaps) if one.name == "gt_known_loc")
    assert gain.value > 0
    assert gain.low >= 0


def test_other_pairs_cannot_be_compared(at_random):
    label_set, drawn = at_random
    fewer = {key: boxes for key, boxes in drawn.items() if key != "3.png"}
    with pytest.raises(ValueError, match="same images and labels"):
        compare_overlaps(measure(label_set, drawn), measure(label_set, fewer))


def test_nothing_to_measure_is_an_error(at_random):
    with pytest.raises(ValueError, match="no image and label with a drawn box"):
        summarise_overlaps(measure(at_random[0], {"0.png": []}))


def test_a_set_without_maps_has_all_metrics_but_the_sweeps(tmp_path: Path):
    row = make_row("a", [make_block_cam((10, 10, 15, 15))])
    metrics = summarise(measure(make_label_set(tmp_path, [row], store_cams=False), {"a": [("red", (10, 10, 15, 15))]}))
    assert metrics["top_box_corloc"] == 1
    assert not [name for name in metrics if name.startswith("max_box")]
    assert row.size_wh == SIZE_WH
