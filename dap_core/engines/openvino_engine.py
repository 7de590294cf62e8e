"""The backbone in OpenVINO, on the CPU: the fastest engine without a GPU. Needs the extra `dap[cpu]`."""

from __future__ import annotations

import warnings
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from dap_core.classifiers import Classifier
from dap_core.engines.base import Canvases
from dap_core.engines.conversion_cache import read_or_convert
from dap_core.errors import InputError

if TYPE_CHECKING:
    from torch import nn

OpenvinoPrecision = Literal["float32", "bfloat16"]
_EXAMPLE_SHAPE = (2, 3, 96, 128)
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenvinoEngine:
    """An engine that runs the backbone on the CPU through OpenVINO, for canvases of any size."""

    name = "openvino"
    batch_pixels = 1
    window = 1

    def __init__(self, classifier: Classifier, *, precision: OpenvinoPrecision = "float32") -> None:
        """Compiles the backbone; before the first time it is converted, which takes a few seconds.

        Raises InputError when OpenVINO is not installed, cannot convert the network, or the CPU lacks the precision.
        """
        openvino = import_openvino()
        if precision == "bfloat16" and not has_native_bfloat16():
            raise InputError("this CPU has no bfloat16 instructions; take float32")
        self.classifier = classifier
        self.precision: str = precision
        self.lanes = torch.get_num_threads()
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "NUM_STREAMS": str(self.lanes),
            "INFERENCE_NUM_THREADS": str(self.lanes),
            "ENABLE_CPU_PINNING": False,  # two processes would pin to the same cores
        }
        try:
            model = read_or_convert(openvino, classifier.backbone, lambda: _convert(openvino, classifier.backbone))
            compiled = openvino.Core().compile_model(model, "CPU", settings)
        except Exception as error:
            reason = str(error).strip().split("\n", 1)[0]
            raise InputError(f"OpenVINO cannot run {classifier.name}; take the torch engine ({reason})") from error
        self._requests: LifoQueue[Any] = LifoQueue()
        for _ in range(self.lanes):
            self._requests.put(compiled.create_infer_request())
        self.forward(torch.zeros(_EXAMPLE_SHAPE))  # alone: the first tensors of two threads at once can deadlock
        self._scale = [np.float32(1 / (255 * std)) for std in classifier.std]
        self._shift = [np.float32(-mean / std) for mean, std in zip(classifier.mean, classifier.std, strict=True)]

    def extract_features(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """The last feature maps, as `Engine` defines them."""
        return self.forward(self.make_input(canvases, mirror=mirror))

    def forward(self, images: Tensor) -> Tensor:
        """The backbone alone, on input that is ready: what the others of a batch's steps are measured against."""
        request = self._requests.get()
        try:  # one by one: as fast as together, and the network holds the activations of one
            parts = [self._infer(request, image) for image in images[:, None]]
        finally:
            self._requests.put(request)
        return torch.cat(parts)

    def _infer(self, request: Any, image: Tensor) -> Tensor:
        request.infer([image.numpy()], share_inputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    def make_input(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """The input of `forward` for these canvases, plane by plane: a tenth of the work of the general way."""
        count, height, width, _ = canvases.pixels.shape
        images = np.empty((count * (1 + mirror), 3, height, width), np.float32)
        for index, (canvas, size_hw) in enumerate(zip(canvases.pixels, canvases.sizes_hw, strict=True)):
            for channel, plane in enumerate(cv2.split(canvas)):
                target = images[index, channel]
                np.multiply(plane, self._scale[channel], out=target)
                target += self._shift[channel]
                target[size_hw[0] :] = 0
                target[:, size_hw[1] :] = 0
                if mirror:
                    cv2.flip(target, 1, dst=images[count + index, channel])
        return torch.from_numpy(images)


def import_openvino() -> Any:
    """The package; raises InputError saying how to get it."""
    try:
        import openvino
    except ImportError as error:
        raise InputError("OpenVINO is not installed; pip install 'dap[cpu]', or take the torch engine") from error
    return openvino


def has_native_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _convert(openvino: Any, backbone: nn.Module) -> Any:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing, which the converter does, is deprecated in torch
        model = openvino.convert_model(backbone, example_input=torch.zeros(_EXAMPLE_SHAPE))
    model.reshape([-1, 3, -1, -1])
    return model
