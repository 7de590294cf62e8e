"""The backbone in PyTorch: float32, channels-last, on the CPU or one GPU."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from dap_core.classifiers import Classifier
from dap_core.engines.base import Canvases
from dap_core.errors import InputError


class TorchEngine:
    """An engine that runs the backbone eagerly in float32; the reference for every other one."""

    name = "torch"
    precision = "float32"

    def __init__(self, classifier: Classifier, *, device: str | torch.device | None = None) -> None:
        """Moves a copy of the backbone to `device`; left out, the first GPU if there is one, else the CPU.

        Raises InputError when there is no such device.
        """
        self.classifier = classifier
        self.device = _find_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._backbone = copy.deepcopy(classifier.backbone).to(self.device).to(memory_format=torch.channels_last)
        self._mean = 255 * torch.tensor(classifier.mean, device=self.device).view(1, 3, 1, 1)
        self._std = 255 * torch.tensor(classifier.std, device=self.device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def extract_features(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """The last feature maps, as `Engine` defines them."""
        pixels = torch.from_numpy(canvases.pixels).to(self.device, non_blocking=True)
        images = (pixels.permute(0, 3, 1, 2).float() - self._mean) / self._std
        for image, (height, width) in zip(images, canvases.sizes_hw, strict=True):
            image[:, height:] = 0
            image[:, :, width:] = 0
        if mirror:
            images = torch.cat([images, images.flip(-1)])
        features: Tensor = self._backbone(images.contiguous(memory_format=torch.channels_last))
        return features.float()


def _find_device(name: str | torch.device) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(f"device {str(name)!r} cannot be used; try cpu or cuda ({reason})") from error
