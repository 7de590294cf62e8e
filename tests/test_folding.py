"""Batch normalisation folded into convolutions: fewer layers, the same function, and only where that is so."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dap_core.classifiers import Classifier, load_classifier
from dap_core.engines.folding import fold_normalisation

IMAGES = torch.rand(2, 3, 96, 160, generator=torch.Generator().manual_seed(1))


def count(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def make_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    torch.nn.init.uniform_(norm.bias, -1, 1)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    return norm


def check_same(network: nn.Module, folded: nn.Module) -> None:
    with torch.inference_mode():
        torch.testing.assert_close(folded(IMAGES), network.eval()(IMAGES), rtol=1e-3, atol=1e-4)


def test_lite0_keeps_its_features_without_any_normalisation(lite0: Classifier):
    before = count(lite0.backbone)
    folded = fold_normalisation(lite0.backbone)
    assert (count(folded), count(lite0.backbone)) == (0, before)
    assert before > 40
    check_same(lite0.backbone, folded)


@pytest.mark.parametrize("name", ["resnet18", "regnet_x_400mf"])
def test_torchvision_networks_fold(name: str):
    backbone = load_classifier(name, weights="random").backbone
    folded = fold_normalisation(backbone)
    assert count(folded) == 0
    check_same(backbone, folded)


class Shared(nn.Module):
    """One convolution whose output is also used as it is, one run twice, one normalisation without a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 4, 3), make_norm(4)
        self.twice, self.twice_norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), make_norm(4)
        self.alone = make_norm(4)

    def forward(self, images: Tensor) -> Tensor:
        plain = self.first(images)
        features = self.first_norm(plain) + plain
        features = self.twice_norm(self.twice(self.twice_norm(self.twice(features))))
        return self.alone(features.relu())  # type: ignore[no-any-return]


def test_what_others_use_is_left_alone():
    network = Shared().eval()
    folded = fold_normalisation(network)
    assert count(folded) == 3
    check_same(network, folded)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), make_norm(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images if images.mean() > 0 else -images))  # type: ignore[no-any-return]


def test_a_network_that_cannot_be_traced_runs_as_it_is():
    network = Branching().eval()
    folded = fold_normalisation(network)
    assert count(folded) == 1
    check_same(network, folded)
