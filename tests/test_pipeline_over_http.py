"""The paper as one request to a service whose store is a bucket: mine, pre-train, fine-tune, evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.datasets import make_synthetic_set
from dap_core.stores import LocalStore
from tests.bucket_services import MODEL, Services, make_services
from tests.mining_builders import write_colour_folder
from tests.s3_servers import S3Server

SHORT = {"num_steps": "2", "milestones": "1", "warmup_steps": "0", "batch_size": "2", "augment.short_sides": "64"}


@pytest.fixture
def services(servers: dict[str, S3Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Services whose bucket got pictures and drawn boxes by `dap cp`."""
    write_colour_folder(tmp_path / "photos", 4)
    make_synthetic_set(LocalStore(tmp_path / "drawn"), num_images=4, seed=1, kind="detection", size_wh=(128, 96))
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers["juicefs"].url)
    with make_services(servers["juicefs"], tmp_path) as made:
        for name in ("photos", "drawn"):
            copied = CliRunner().invoke(app, ["cp", str(tmp_path / name), made.place(name)])
            assert copied.exit_code == 0, copied.output
        yield made


def test_one_request_goes_from_a_bucket_of_images_to_ap(services: Services) -> None:
    drawn = {"data": services.place("drawn/annotations.json")}
    trained = {"changes": SHORT, "decoders": 0}
    labels, pretrained, tuned, report = map(services.place, ("labels", "pretrained", "tuned", "report"))
    mine = {"kind": "mine", "source": [services.place("photos")], "labels": ["goldfish"], "out": labels, **MODEL}
    pretrain = {"kind": "pretrain", "label_set": {"job": 0}, "out": pretrained, **MODEL, **trained}
    finetune = {"kind": "finetune", "checkpoint": {"job": 1}, "out": tuned, **drawn, **trained}
    evaluate = {"kind": "evaluate", "detector": {"job": 2}, "out": report, "short_side": 64, **drawn}
    client = services.start(1)
    jobs = client.jobs.submit([mine, pretrain, finetune, evaluate], idempotency_key="paper")
    again = client.jobs.submit([mine, pretrain, finetune, evaluate], idempotency_key="paper")
    assert [job.id for job in again] == [job.id for job in jobs]
    last = jobs[-1].wait(timeout_s=240)
    assert [job.refresh().state for job in jobs] == ["SUCCEEDED"] * 4, [job.values for job in jobs]
    assert last.result is not None
    assert 0 <= last.result["coco"]["ap"] <= 1
    assert [one.values for one in jobs[1].events() if one.kind == "metrics"]
    assert f"{report}/report.html" in {one["place"] for one in last.artifacts()}
    assert services.store.get("data/report/report.html").startswith(b"<!doctype html>")
