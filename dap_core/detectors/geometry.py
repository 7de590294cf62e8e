"""Where pyramid cells lie in the image, for anchors and for pooling of regions.

torchvision takes cell i to be centred on pixel `stride * i` and guesses the strides from padded sizes. Here both are
those measured on the network: with TensorFlow's "same" padding the cells lie almost one stride further right and down.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import LevelMapper

_ROI_CELLS, _SAMPLES_PER_CELL = 7, 2


class GridAnchorGenerator(AnchorGenerator):  # type: ignore[misc]
    """Anchors around the measured centres of cells, float32 whatever the maps are.

    `sizes` are the sides in pixels of the square anchors of each level; `ratios` are height by width.
    """

    def __init__(
        self,
        strides: Sequence[int],
        origins: Sequence[float],
        sizes: Sequence[tuple[int, ...]],
        ratios: tuple[float, ...],
    ) -> None:
        super().__init__(tuple(sizes), (ratios,) * len(sizes))
        self.strides, self.origins = tuple(strides), tuple(origins)

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Anchors [N, 4] of each image."""
        device = feature_maps[0].device
        levels = []
        self.set_cell_anchors(torch.float32, device)
        for maps, stride, origin, cell in zip(feature_maps, self.strides, self.origins, self.cell_anchors, strict=True):
            rows, columns = (torch.arange(size, device=device) * stride + origin for size in maps.shape[-2:])
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            centres = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
            levels.append((centres + cell).reshape(-1, 4))
        return [torch.cat(levels)] * len(image_list.image_sizes)


class GridRoiAlign(MultiScaleRoIAlign):  # type: ignore[misc]
    """RoIAlign, 7x7 cells, on the level of each box (FPN paper, eq. 1), at the measured position of the cells."""

    def __init__(self, strides: Sequence[int], origins: Sequence[float]) -> None:
        names = [str(index) for index in range(len(strides))]
        super().__init__(names, _ROI_CELLS, _SAMPLES_PER_CELL)
        self.strides, self.origins = tuple(strides), tuple(origins)
        self.map_levels = LevelMapper(strides[0].bit_length() - 1, strides[-1].bit_length() - 1)

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """Pooled features [N, C, 7, 7] of the boxes of all images."""
        del image_shapes
        maps = [x[name] for name in self.featmap_names]
        images = torch.cat([torch.full_like(found[:, :1], index) for index, found in enumerate(boxes)])
        corners = torch.cat(boxes)
        levels = self.map_levels(boxes)
        pooled = maps[0].new_zeros(corners.shape[0], maps[0].shape[1], *self.output_size)
        for level, (features, stride, origin) in enumerate(zip(maps, self.strides, self.origins, strict=True)):
            chosen = torch.where(levels == level)[0]
            regions = torch.cat([images[chosen], corners[chosen] - origin], dim=1)
            cells = roi_align(features, regions, self.output_size, 1 / stride, self.sampling_ratio)
            pooled[chosen] = cells.to(pooled.dtype)
        return pooled


class NormalizeAndPad(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Normalisation and padding only: images come in the size they are to be seen at, and boxes stay in it."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(0, 0, list(mean), list(std))

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """The image as it is."""
        return image, target
