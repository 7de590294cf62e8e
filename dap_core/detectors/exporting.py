"""Detectors as one file that runs without this project: TorchScript, or ONNX.

The file takes one image, float32 [3, H, W] RGB in [0, 1], in the size it is to be seen at (the short side it was
trained at); height and width are free, the number of images is not: there is no batch. It gives `boxes` float32 [n, 4]
xyxy in the pixels of that image, `labels` int64 [n] counted from 0, and `scores` float32 [n], best first.
Normalisation, thresholds and NMS are inside. Both come of tracing a run over an image of noise. Of boxes whose scores
are equal, or differ by rounding, another runtime may keep another one.
"""

from __future__ import annotations

import importlib.util
import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]

from dap_core.detectors.detector import Detections, Detector
from dap_core.errors import InputError

ExportFormat = Literal["onnx", "torchscript"]
DESCRIPTION = "detector.json"
"""Name of the extra file of TorchScript, and of the metadata of ONNX, that says what the labels mean."""
_OPSET = 17
_EXAMPLE_HW = (160, 224)
_OUTPUTS = ("boxes", "labels", "scores")
_PACKAGES = ("onnx", "onnxscript")


class _OneImage(nn.Module):
    """A detector whose input and output are tensors alone."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found: Detections = self.detector([image])[0]
        return found.boxes, found.labels, found.scores


def export_detector(detector: Detector, format_: ExportFormat) -> bytes:
    """The detector as the bytes of a TorchScript or ONNX file; it is left on the CPU in evaluation mode.

    Classes are in it under `DESCRIPTION`, as JSON. Raises ValueError for another format, InputError when the packages
    that ONNX needs are missing.
    """
    if format_ not in ("onnx", "torchscript"):
        raise ValueError(f"the format is onnx or torchscript, got {format_!r}")
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if format_ == "onnx" and missing:
        raise InputError(f"writing ONNX needs {' and '.join(missing)}: pip install 'dap[export]', or take torchscript")
    model = _OneImage(detector.cpu().eval()).eval()
    example = torch.rand(3, *_EXAMPLE_HW, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), _quiet():
        return _write_onnx(model, example) if format_ == "onnx" else _write_torchscript(model, example)


def _write_torchscript(model: _OneImage, example: Tensor) -> bytes:
    traced = torch.jit.trace(model, (example,), check_trace=False)  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer, _extra_files={DESCRIPTION: _describe(model.detector)})
    return buffer.getvalue()


def _write_onnx(model: _OneImage, example: Tensor) -> bytes:
    import onnx

    buffer = io.BytesIO()
    free: dict[str, dict[int, str]] = {"image": {1: "height", 2: "width"}, **{name: {0: "n"} for name in _OUTPUTS}}
    torch.onnx.export(
        model,
        (example,),
        buffer,  # type: ignore[arg-type]
        dynamo=False,  # the newer exporter cannot follow a number of boxes that depends on the image
        opset_version=_OPSET,
        input_names=["image"],
        output_names=list(_OUTPUTS),
        dynamic_axes=free,
    )
    proto = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(proto, {DESCRIPTION: _describe(model.detector)})
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data


def _describe(detector: Detector) -> str:
    classes = [{"wnid": item.wnid, "name": item.name} for item in detector.classes.classes]
    return json.dumps({"architecture": detector.architecture, "backbone": detector.origin.name, "classes": classes})


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what tracing says of branches that a detector takes the same way for every image."""
    with warnings.catch_warnings():
        for kind in (TracerWarning, UserWarning, DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield
