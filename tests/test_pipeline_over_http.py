"""The paper as one request to a service: mine, pre-train, fine-tune, evaluate; real processes for all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dap_client import Client

from dap_core.datasets import make_synthetic_set
from dap_core.stores import LocalStore
from tests.mining_builders import write_colour_folder
from tests.service_builders import run_service

SHORT = {"num_steps": "2", "milestones": "1", "warmup_steps": "0", "batch_size": "2", "augment.short_sides": "64"}
TINY = {"classifier": "timm/test_resnet", "weights": "random"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The place of the service that its jobs may read and write."""
    folder = tmp_path / "store" / "data"
    write_colour_folder(folder / "photos", 4)
    make_synthetic_set(LocalStore(folder / "drawn"), num_images=4, seed=1, kind="detection", size_wh=(128, 96))
    return folder


def test_one_request_goes_from_images_to_ap(tmp_path: Path, data: Path) -> None:
    drawn = {"data": f"{data}/drawn/annotations.json"}
    trained = {"changes": SHORT, "decoders": 0}
    mine = {"kind": "mine", "source": [f"{data}/photos"], "labels": ["goldfish"], "out": f"{data}/labels", **TINY}
    pretrain = {"kind": "pretrain", "label_set": {"job": 0}, "out": f"{data}/pretrained", **TINY, **trained}
    finetune = {"kind": "finetune", "checkpoint": {"job": 1}, "out": f"{data}/tuned", **drawn, **trained}
    evaluate = {"kind": "evaluate", "detector": {"job": 2}, "out": f"{data}/report", "short_side": 64, **drawn}
    with run_service(tmp_path, "--classifier", "timm/test_resnet", "--weights", "random", "--max-jobs", "2") as service:
        client = Client(service.url)
        jobs = client.jobs.submit([mine, pretrain, finetune, evaluate], idempotency_key="paper")
        again = client.jobs.submit([mine, pretrain, finetune, evaluate], idempotency_key="paper")
        assert [job.id for job in again] == [job.id for job in jobs]
        last = jobs[-1].wait(timeout_s=240)
        assert [job.refresh().state for job in jobs] == ["SUCCEEDED"] * 4, [job.values for job in jobs]
        assert last.result is not None
        assert 0 <= last.result["coco"]["ap"] <= 1
        steps = [one.values for one in jobs[1].events() if one.kind == "metrics"]
        assert steps
    assert (data / "report" / "report.html").exists()
