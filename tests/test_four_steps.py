"""The four steps of the paper by the commands a user would type, at their smallest."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.cli.four_steps import Sizes, main
from dap_core.stores import LocalStore
from dap_core.training.runs import read_metrics

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


def test_from_labelled_images_to_the_ap_of_both_arms(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sizes = Sizes(num_labelled=32, num_drawn=24, num_test=4, pretrain_steps=2, finetune_steps=2, shots=1)
    assert main(tmp_path / "out", sizes) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    arms = {line[0]: line[1:] for line in lines if len(line) == 4 and line[0] in ("CLS", "DAP")}
    assert arms.keys() == {"CLS", "DAP"}
    assert all(0 <= float(value) <= 100 for value in (*arms["CLS"], *arms["DAP"]))
    for arm in ("cls", "dap"):
        assert len(read_metrics(LocalStore(tmp_path / "out" / f"{arm}-1shot-0"))) == 2
    drawn = [(tmp_path / "out" / f"{arm}-1shot-0" / "shots.json").read_text() for arm in ("cls", "dap")]
    assert drawn[0] == drawn[1]
