"""Detectors as TorchScript and ONNX files, loaded and run beside the detector itself."""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from clients.cli.main import app
from dap_core.detectors import Architecture, Detections, Detector, save_checkpoint
from dap_core.detectors.exporting import DESCRIPTION, export_detector
from dap_core.errors import InputError
from dap_core.stores import LocalStore
from tests.detector_builders import TINY_CONFIG, make_tiny_detector

SIZES_HW = ((96, 128), (128, 96), (150, 210))
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:FutureWarning"),
]


def make_spread_detector(architecture: Architecture) -> Detector:
    """A detector with random weights whose scores differ."""
    config = replace(TINY_CONFIG, score_threshold=0.1, max_detections=30)
    detector = make_tiny_detector(architecture, config=config).eval()
    network: Any = detector.network
    head = network.roi_heads.box_predictor.cls_score if architecture == "faster_rcnn" else None
    layer = head or network.head.classification_head.cls_logits
    torch.nn.init.zeros_(layer.bias)
    torch.nn.init.normal_(layer.weight, std=0.15, generator=torch.Generator().manual_seed(1))
    return detector


def make_picture(height: int, width: int, seed: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def assert_alike(found: Detections, outputs: list[Tensor]) -> None:
    boxes, labels, scores = outputs
    assert len(found.boxes) > 3
    assert abs(len(boxes) - len(found.boxes)) <= 1
    distances = np.abs(found.boxes[:, None].numpy() - boxes[None].numpy()).max(axis=2)
    same = found.labels[:, None].numpy() == labels[None].numpy()
    near = np.abs(found.scores[:, None].numpy() - scores[None].numpy()) < 1e-3
    assert ((distances < 0.1) & same & near).any(axis=1).mean() > 0.95


@pytest.mark.parametrize("architecture", ["faster_rcnn", "retinanet"])
def test_torchscript_finds_the_same_at_every_size(architecture: Architecture) -> None:
    detector = make_spread_detector(architecture)
    extra = {DESCRIPTION: ""}
    loaded = torch.jit.load(io.BytesIO(export_detector(detector, "torchscript")), _extra_files=extra)
    assert [one["name"] for one in json.loads(extra[DESCRIPTION])["classes"]] == ["class 0", "class 1", "class 2"]
    for seed, (height, width) in enumerate(SIZES_HW):
        image = make_picture(height, width, seed)
        with torch.inference_mode():
            assert_alike(detector([image])[0], loaded(image))


@pytest.mark.parametrize("architecture", ["faster_rcnn", "fcos"])
def test_onnx_finds_the_same_at_every_size(architecture: Architecture) -> None:
    detector = make_spread_detector(architecture)
    data = export_detector(detector, "onnx")
    [described] = [item.value for item in onnx.load_from_string(data).metadata_props if item.key == DESCRIPTION]
    assert json.loads(described)["architecture"] == architecture
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for seed, (height, width) in enumerate(SIZES_HW):
        image = make_picture(height, width, seed)
        with torch.inference_mode():
            found = detector([image])[0]
        assert_alike(found, [torch.from_numpy(value) for value in session.run(None, {"image": image.numpy()})])


def test_onnx_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find_spec(name))
    with pytest.raises(InputError, match=r"needs onnx: pip install 'dap\[export\]', or take torchscript"):
        export_detector(make_tiny_detector(), "onnx")


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    save_checkpoint(LocalStore(tmp_path / "run"), "", make_spread_detector("fcos"), step=1, recipe={})
    out = tmp_path / "exports/detector.onnx"
    result = CliRunner().invoke(app, ["export-detector", str(tmp_path / "run"), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["bytes"] == out.stat().st_size
    onnx.checker.check_model(onnx.load(out))
    folder = CliRunner().invoke(app, ["export-detector", str(tmp_path / "run"), "--out", str(tmp_path)])
    assert folder.exit_code == 2
    assert "is a folder; --out names the file" in folder.output
