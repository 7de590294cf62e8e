"""results.parquet: whole, in an order of its own, the same bytes whatever the order of the scores."""

from __future__ import annotations

import io
import random

import pyarrow.parquet as pq

from dap_core.evaluation.study_scores import Setting
from services.studies.tables import read_scores, write_scores
from tests.study_builders import make_score

SCORES = [
    make_score(arm=arm, shots=shots, seed=seed, num_steps=steps, part=part)
    for arm in ("CLS", "DAP")
    for shots in (None, 5, 10)
    for seed in (0, 1)
    for steps in (10, 20)
    for part in ("validation", "test")
]
CHOSEN = {(Setting(SCORES[0].data, shots), arm): 20 for shots in (None, 5, 10) for arm in ("CLS", "DAP")}


def test_scores_come_back_as_they_were() -> None:
    assert set(read_scores(write_scores("kshot", SCORES, CHOSEN))) == set(SCORES)


def test_the_order_of_the_scores_does_not_show() -> None:
    mixed = random.Random(1).sample(SCORES, len(SCORES))
    assert write_scores("kshot", mixed, CHOSEN) == write_scores("kshot", SCORES, CHOSEN)


def test_the_chosen_number_of_steps_is_marked() -> None:
    rows = pq.read_table(io.BytesIO(write_scores("kshot", SCORES, CHOSEN))).to_pylist()
    assert {row["num_steps"] for row in rows if row["chosen"]} == {20}
    assert {row["num_steps"] for row in rows if not row["chosen"]} == {10}
    assert {row["study"] for row in rows} == {"kshot"}
    assert None in {row["shots"] for row in rows}
