"""Images to look at first: each reason alone, and the order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dap_core.evaluation import find_suspicious
from dap_core.evaluation.triage import Suspicion, judge_row
from dap_core.label_sets import LabelSetRow
from dap_core.passes import CamConfig
from dap_core.types import ClassList
from tests.label_set_builders import PIXEL_RECIPE, make_block_cam, make_label_set, make_row

CLASSES = ClassList.from_pairs([("x0", "red"), ("x1", "blue")])
TWO_SCALES = replace(PIXEL_RECIPE, cam=CamConfig(short_sides=(288, 576), mirror=False))
BLOCK = (10, 10, 30, 25)


def judge(row: LabelSetRow) -> Suspicion:
    return judge_row(row, CLASSES, TWO_SCALES)


def test_an_image_on_which_all_agree_has_no_reason() -> None:
    cams = [make_block_cam(BLOCK), make_block_cam(BLOCK, side=576)]
    assert judge(make_row("a", cams)) == Suspicion("a", 0, ())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            replace(make_row("a", [make_block_cam(BLOCK)], top1=1, label_score=0.1), top1_score=0.7),
            "the classifier says blue (0.70), the label is red (0.10)",
        ),
        (make_row("a", [make_block_cam(BLOCK)], label_score=0.005), "low score: red (0.01)"),
        (make_row("a", [make_block_cam(value=0.0)]), "no box for red: flat-map"),
        (
            make_row("a", [make_block_cam((0, 0, 10, 10)), make_block_cam((40, 20, 60, 40), side=576)]),
            "scales 288 and 576 disagree: IoU 0.00",
        ),
    ],
    ids=["classifier", "score", "no box", "scales"],
)
def test_each_reason_is_said_in_words(row: LabelSetRow, reason: str) -> None:
    suspicion = judge(row)
    assert suspicion.reasons == (reason,)
    assert suspicion.badness > 0


def test_a_box_that_fills_the_image_is_odd() -> None:
    row = make_row("a", [make_block_cam(BLOCK)])
    row.boxes.boxes[0] = (0, 0, 60, 39)
    assert judge(row).reasons == ("a box covers 98% of the image",)


def test_maps_of_one_scale_cannot_disagree() -> None:
    assert judge(make_row("a", [make_block_cam((0, 0, 10, 10)), make_block_cam((40, 20, 60, 40))])).reasons == ()


def test_one_of_several_labels_may_be_the_first_choice() -> None:
    row = make_row("a", [make_block_cam(BLOCK), make_block_cam(BLOCK, label=1)], top1=1)
    assert judge(row).reasons == ()


def test_the_worst_come_first_and_the_others_are_left_out(tmp_path: Path) -> None:
    rows = [
        make_row("fine", [make_block_cam(BLOCK)]),
        replace(make_row("close", [make_block_cam(BLOCK)], top1=1, label_score=0.4), top1_score=0.45),
        replace(make_row("clear", [make_block_cam(BLOCK)], top1=1, label_score=0.01), top1_score=0.9),
        make_row("empty", [make_block_cam(value=0.0)]),
    ]
    label_set = make_label_set(tmp_path, rows)
    found = find_suspicious(label_set)
    assert [item.key for item in found] == ["clear", "empty", "close"]
    assert [item.badness for item in found] == sorted((item.badness for item in found), reverse=True)
    assert find_suspicious(label_set, limit=1) == found[:1]
