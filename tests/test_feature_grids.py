"""Where feature cells lie: worked out by hand from strides and paddings, then measured on the network."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from dap_core.classifiers import load_classifier
from dap_core.errors import ClassifierError
from dap_core.feature_grids import measure_feature_grid
from dap_core.types import FeatureGrid
from tests.builders import make_toy_backbone


def at(origin: float, stride: int) -> FeatureGrid:
    return FeatureGrid((origin, origin), stride)


def test_symmetric_padding_centres_cell_i_on_pixel_stride_times_i():
    """Kernel 3, stride 2, padding 1: output i reads 2i - 1 .. 2i + 1, centre 2i. Five times: 32 i."""
    assert measure_feature_grid(make_toy_backbone()) == at(0, 32)


def test_padding_only_after_the_image_moves_the_centres():
    """Output i reads 2i .. 2i + 2, centre 2i + 1. Five times: 1 + 2 + 4 + 8 + 16 = 31."""
    assert measure_feature_grid(make_toy_backbone(asymmetric=True)) == at(31, 32)


def test_layers_without_padding():
    """Kernel 5, stride 2: centre 2i + 2. Then pool 2, stride 2: j covers i = 2j, 2j + 1, centre 4j + 1 + 2."""
    network = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2))
    assert measure_feature_grid(network) == at(3, 4)


def test_an_even_kernel_lies_between_pixels():
    """Kernel 2, stride 2: pixels 2i and 2i + 1, centre 2i + 0.5."""
    assert measure_feature_grid(nn.Conv2d(3, 4, 2, 2)) == at(0.5, 2)


def test_a_patch_convolution():
    """Kernel 16, stride 16: centre 16 i + 7.5."""
    assert measure_feature_grid(nn.Conv2d(3, 4, 16, 16)) == at(7.5, 16)


def test_rows_and_columns_are_measured_on_their_own():
    """Padding 1 across only: x centre 2i, y centre 2i + 1."""
    assert measure_feature_grid(nn.Conv2d(3, 4, 3, 2, padding=(0, 1))) == FeatureGrid((0, 1), 2)


def test_trained_weights_do_not_move_the_centres():
    """Negative, lopsided weights and normalisation say what a cell looks for, not where it lies."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 8, 3, 2, 1))
    with torch.no_grad():
        network[0].weight.copy_(-(torch.arange(network[0].weight.numel()).view_as(network[0].weight) ** 2))
        network[1].running_mean.fill_(100)
    assert measure_feature_grid(network) == at(0, 4)


class ResidualBlock(nn.Module):
    """A residual block with squeeze-and-excitation, whose gate looks at the whole image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.excite = nn.Sequential(nn.Conv2d(channels, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(2, channels, 1))

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        return images + features * torch.sigmoid(self.excite(self.squeeze(features)))


def test_squeeze_and_excitation_does_not_move_the_centres():
    network = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), ResidualBlock(6), nn.Conv2d(6, 6, 3, 2, 1), ResidualBlock(6))
    assert measure_feature_grid(network) == at(0, 4)


def test_measuring_leaves_the_network_as_it_was():
    network = torchvision.models.resnet18().eval()
    images = torch.rand(1, 3, 64, 64)
    before = network(images)
    measure_feature_grid(nn.Sequential(*list(network.children())[:-2]))
    torch.testing.assert_close(network(images), before)


@pytest.mark.soak
def test_networks_of_the_paper():
    """Padding is symmetric everywhere: 32 i."""
    assert load_classifier("resnet50", weights="random").grid == at(0, 32)
    assert load_classifier("resnet101", weights="random").grid == at(0, 32)


def test_the_bundled_network_pads_like_tensorflow(lite0):
    assert lite0.grid == at(31, 32)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Upsample(scale_factor=2)), "not evenly spaced"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.Flatten(), nn.Unflatten(1, (4, 4, -1))), "not evenly spaced"),
        (nn.Conv2d(3, 4, 3, (2, 4), 1), "strides differ: 4 px across, 2 px down"),
    ],
    ids=["steps of two equal columns", "scrambled", "strides"],
)
def test_a_network_that_cannot_be_measured_is_refused(network, words):
    with pytest.raises(ClassifierError, match=words):
        measure_feature_grid(network)
