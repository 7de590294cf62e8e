"""Transfer: the layers of a trained detector but those that are to begin anew.

`all` takes every layer but the last ones, whose size depends on the number of classes (paper, section 3.1).
`localisation` also leaves out the layers that lead to them alone, or to them and the boxes together: what a detector
learnt that was trained on one class tells no classes apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dap_core.detectors.config import Architecture
from dap_core.detectors.detector import Detector
from dap_core.errors import CheckpointError

_LAST_LAYERS: dict[Architecture, str] = {
    "faster_rcnn": "roi_heads.box_predictor.",
    "retinanet": "head.classification_head.cls_logits.",
    "fcos": "head.classification_head.cls_logits.",
}
_CLASS_LAYERS: dict[Architecture, str] = {
    "faster_rcnn": "roi_heads.",
    "retinanet": "head.classification_head.",
    "fcos": "head.classification_head.",
}
Transferred = Literal["all", "localisation"]
_NUM_NAMED = 3


@dataclass(frozen=True, slots=True)
class TransferReport:
    """Names of tensors: taken from the source, left in the source, and kept as the detector had them."""

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    new: tuple[str, ...]


def transfer_weights(
    source_tensors: Mapping[str, Tensor], detector: Detector, transferred: Transferred = "all"
) -> TransferReport:
    """Copies the tensors of a trained detector but those of layers that begin anew, which are chosen by name.

    So 20 classes to 20 other classes start with new last layers, too. The names are those of
    `Checkpoint.tensors`. Raises CheckpointError when any other tensor is missing, unknown or misshapen; the detector is
    not changed then.
    """
    new_layers = (_LAST_LAYERS if transferred == "all" else _CLASS_LAYERS)[detector.architecture]
    taken = {name: value for name, value in source_tensors.items() if not name.startswith(new_layers)}
    wanted = {name: value for name, value in detector.network.state_dict().items() if not name.startswith(new_layers)}
    check_tensors(taken, wanted, f"the {detector.architecture} detector")
    detector.network.load_state_dict(taken, strict=False)
    skipped = tuple(sorted(source_tensors.keys() - taken.keys()))
    new = tuple(sorted(detector.network.state_dict().keys() - wanted.keys()))
    return TransferReport(tuple(sorted(taken)), skipped, new)


def check_tensors(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], target: str) -> None:
    """Raises CheckpointError unless names and shapes agree."""
    misshapen = [
        f"{name} is {list(tensors[name].shape)}, expected {list(wanted[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    kinds = {
        "missing": sorted(wanted.keys() - tensors.keys()),
        "unknown": sorted(tensors.keys() - wanted.keys()),
        "misshapen": misshapen,
    }
    problems = [
        f"{len(names)} {kind} ({', '.join(names[:_NUM_NAMED])}{', ...' if len(names) > _NUM_NAMED else ''})"
        for kind, names in kinds.items()
        if names
    ]
    if problems:
        raise CheckpointError(
            f"the tensors do not fit {target}: {'; '.join(problems)}; "
            "make it with the architecture, backbone and options of the checkpoint"
        )
