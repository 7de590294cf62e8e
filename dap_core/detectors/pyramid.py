"""The feature pyramid (FPN) over the stages of a backbone, and levels of larger strides above it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock


class SubsampledLevels(ExtraFPNBlock):  # type: ignore[misc]
    """Levels that keep every other cell of the one below (Faster R-CNN)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        """The pyramid with its further levels."""
        del x
        for index in range(self.count):
            results.append(results[-1][:, :, ::2, ::2])
            names.append(f"pool{index or ''}")
        return results, names


class ConvolvedLevels(ExtraFPNBlock):  # type: ignore[misc]
    """Levels P6, P7, ... made by 3x3 convolutions of stride 2 (RetinaNet, FCOS)."""

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.names = [f"p{6 + index}" for index in range(count)]
        for name in self.names:
            conv = nn.Conv2d(channels, channels, 3, 2, 1)
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.add_module(name, conv)

    def forward(self, results: list[Tensor], x: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        """The pyramid with its further levels."""
        del x
        below = results[-1]
        for index, name in enumerate(self.names):
            below = self.get_submodule(name)(below if index == 0 else torch.relu(below))
            results.append(below)
            names.append(name)
        return results, names


class PyramidBackbone(nn.Module):
    """Normalised images [B, 3, H, W] to maps [B, C, h, w] of all pyramid levels, by name.

    `body` gives the maps of the stages; those at `places` carry the pyramid.
    """

    def __init__(
        self, body: nn.Module, places: Sequence[int], in_channels: Sequence[int], channels: int, extra: ExtraFPNBlock
    ) -> None:
        super().__init__()
        self.body = body
        self.fpn = FeaturePyramidNetwork(list(in_channels), channels, extra)
        self.places = tuple(places)
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Pyramid levels, lowest stride first."""
        maps = self.body(images)
        stages = OrderedDict((str(index), maps[place]) for index, place in enumerate(self.places))
        levels: dict[str, Tensor] = self.fpn(stages)
        return levels
