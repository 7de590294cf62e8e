"""Converted networks are kept, found again only by what they are, and never in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dap_core.engines import conversion_cache
from dap_core.engines.conversion_cache import MAX_KEPT, make_key, read_or_convert

openvino = pytest.importorskip("openvino", reason="openvino is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of tracing, which the converter does
IMAGES = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dap" / "openvino"


def make_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()


class Conversions:
    """Converts, and counts how often it had to."""

    def __init__(self) -> None:
        self.count = 0

    def get(self, network: nn.Module) -> Any:
        def convert() -> Any:
            self.count += 1
            return openvino.convert_model(network, example_input=IMAGES)

        return read_or_convert(openvino, network, convert)


def run(model: Any) -> torch.Tensor:
    return torch.from_numpy(openvino.Core().compile_model(model, "CPU")([IMAGES.numpy()])[0])


@pytest.mark.usefixtures("folder")
def test_the_second_time_it_is_read_and_computes_the_same():
    conversions = Conversions()
    first, second = (run(conversions.get(make_network())) for _ in range(2))
    assert conversions.count == 1
    assert torch.equal(first, second)
    assert torch.allclose(second, make_network()(IMAGES), atol=1e-5)


@pytest.mark.usefixtures("folder")
def test_other_weights_or_layers_are_another_network():
    conversions = Conversions()
    narrow = nn.Sequential(make_network()[0], nn.Hardtanh()).eval()
    assert len({make_key(one) for one in (make_network(), make_network(1), narrow)}) == 3
    for network in (make_network(), make_network(1), narrow):
        assert torch.allclose(run(conversions.get(network)), network(IMAGES), atol=1e-5)
    assert conversions.count == 3


def test_what_is_damaged_is_made_again(folder: Path):
    conversions = Conversions()
    conversions.get(make_network())
    [path] = folder.glob("*.xml")
    for file, content in ((path, b"<net"), (path.with_suffix(".bin"), b"")):
        file.write_bytes(content)
        assert torch.allclose(run(conversions.get(make_network())), make_network()(IMAGES), atol=1e-5)
    assert conversions.count == 3
    conversions.get(make_network())
    assert conversions.count == 3


def test_a_folder_that_cannot_be_written_costs_the_conversion_alone(folder: Path):
    folder.parent.write_text("a file")
    conversions = Conversions()
    for _ in range(2):
        assert conversions.get(make_network()) is not None
    assert conversions.count == 2


def test_layers_of_other_packages_are_converted_every_time(folder: Path):
    class Own(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * 2

    conversions = Conversions()
    for _ in range(2):
        conversions.get(nn.Sequential(make_network(), Own()))
    assert conversions.count == 2
    assert not folder.exists()


def test_the_least_recently_used_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversion_cache, "MAX_KEPT", 2)
    conversions = Conversions()
    for seed in (0, 1, 0, 2):
        conversions.get(make_network(seed))
    assert (MAX_KEPT, conversions.count) == (8, 3)
    assert {one.stem for one in folder.iterdir()} == {make_key(make_network(0)), make_key(make_network(2))}
