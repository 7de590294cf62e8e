"""The paper's finding on synthetic images: with few drawn ones, a detector pre-trained on pseudo boxes is ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from dap_core.stores import LocalStore
from services.studies.catalog import make_named_study
from services.studies.conducting import conduct_study
from services.studies.reporting import write_report
from services.studies.running import StepRunner
from services.studies.synthetic_data import SyntheticSizes, make_synthetic_data
from tests.service_builders import RAY_ENVIRONMENT

SIZES = SyntheticSizes(
    network="lite0",
    num_classes=4,
    num_labelled=400,
    num_drawn=60,
    num_test=60,
    size_wh=(160, 120),
    mining_sides=(192, 288),
    short_side=112,
    batch_size=4,
    pretrain_steps=300,
    steps=(25, 50),
    seeds=tuple(range(8)),
    shots=(5,),
)


@pytest.mark.soak
def test_dap_is_ahead_with_its_interval_above_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in RAY_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    study = make_named_study("kshot", make_synthetic_data(tmp_path / "data", SIZES))
    result = conduct_study(study, StepRunner(str(tmp_path), num_parallel=2))
    findings = write_report(LocalStore(tmp_path / "report"), result)
    [comparison] = result.comparisons
    assert comparison.difference.num_pairs == len(SIZES.seeds)
    assert comparison.difference.is_positive, findings
