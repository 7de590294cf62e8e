"""The backbone in PyTorch, channels-last, on the CPU or one GPU, in float32 or a shorter format."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dap_core.classifiers import Classifier
from dap_core.engines.base import Canvases, InputMaker
from dap_core.engines.folding import fold_normalisation
from dap_core.errors import InputError

TorchPrecision = Literal["float32", "bfloat16", "float16"]
_CPU_BATCH_PIXELS, _GPU_BATCH_PIXELS = 576 * 768, 16 * 576 * 768
_GPU_WINDOW = 96


class TorchEngine:
    """An engine that runs the backbone in eager mode, batch normalisation folded into the convolutions."""

    name = "torch"

    def __init__(
        self,
        classifier: Classifier,
        *,
        device: str | torch.device | None = None,
        precision: TorchPrecision = "float32",
    ) -> None:
        """Moves a copy of the backbone to `device`; left out, the first GPU if there is one, else the CPU.

        A shorter `precision` is that of autocast: convolutions in it, features back in float32.
        Raises InputError when there is no such device, or it cannot compute in that precision.
        """
        self.classifier = classifier
        self.precision: str = precision
        self.device = find_device(device)
        if precision == "float16" and self.device.type == "cpu":
            raise InputError("float16 is for GPUs; on the CPU take float32 or bfloat16")
        on_gpu = self.device.type != "cpu"
        self.batch_pixels = _GPU_BATCH_PIXELS if on_gpu else _CPU_BATCH_PIXELS
        self.window = _GPU_WINDOW if on_gpu else 1
        self.lanes = 1 if on_gpu else torch.get_num_threads()
        folded = fold_normalisation(classifier.backbone)
        self._backbone = folded.to(self.device).to(memory_format=torch.channels_last)
        self._make_input = InputMaker(classifier, self.device)

    @torch.inference_mode()
    def extract_features(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """The last feature maps, as `Engine` defines them."""
        return self.forward(self._make_input(canvases, mirror=mirror))

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """The backbone alone, on input that is ready: what the others of a batch's steps are measured against."""
        dtype = getattr(torch, self.precision)
        with torch.autocast(self.device.type, dtype, enabled=dtype is not torch.float32):
            features: Tensor = self._backbone(images)
        return features.float()

    def make_input(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """The input of `forward` for these canvases."""
        return self._make_input(canvases, mirror=mirror)


def find_device(name: str | torch.device | None) -> torch.device:
    """The device of that name; None is the first GPU if there is one, else the CPU. Raises InputError."""
    wanted = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(f"device {str(wanted)!r} cannot be used; try cpu or cuda ({reason})") from error
