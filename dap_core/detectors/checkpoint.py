"""Detectors in an object store: `model.safetensors` and the `checkpoint.json` that describes it.

The description is written last, so where there is one its tensors are complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dap_core.checkpoints import hash_tensors
from dap_core.classifiers import RANDOM_WEIGHTS, Rgb, load_classifier
from dap_core.detectors.config import ARCHITECTURES, Architecture, DetectorConfig
from dap_core.detectors.detector import BackboneOrigin, Detector, make_detector
from dap_core.detectors.transfer import Transferred, TransferReport, check_tensors, transfer_weights
from dap_core.errors import CheckpointError, ClassifierError
from dap_core.model_descriptions import CHECKPOINT_NAME
from dap_core.stores import Store
from dap_core.types import ClassList

FORMAT_VERSION = 1
_TENSORS = "model.safetensors"
_CHANNEL_ORDER = "RGB"


@dataclass(frozen=True)
class Checkpoint:
    """A stored detector: what it is made of, how far it was trained, and its tensors by torchvision's names."""

    architecture: Architecture
    origin: BackboneOrigin
    config: DetectorConfig
    classes: ClassList
    step: int
    recipe: dict[str, Any]
    parents: dict[str, str]
    """The sha256 of what it was made from, such as of the checkpoint it started from."""
    tensors_sha256: str
    tensors: dict[str, Tensor]

    def make_detector(self) -> Detector:
        """The detector, in training mode on the CPU. Nothing is downloaded.

        Raises CheckpointError when the backbone cannot be made, or the tensors do not fit it.
        """
        detector = self._make_untrained(self.classes, self.config)
        check_tensors(self.tensors, detector.network.state_dict(), f"the {self.architecture} it describes")
        detector.network.load_state_dict(self.tensors)
        return detector

    def make_successor(
        self, classes: ClassList, config: DetectorConfig, transferred: Transferred = "all"
    ) -> tuple[Detector, TransferReport]:
        """A detector of the same architecture for other classes, with all tensors but those of layers that begin anew.

        Raises CheckpointError when the backbone cannot be made, or `config` makes another network.
        """
        detector = self._make_untrained(classes, config)
        return detector, transfer_weights(self.tensors, detector, transferred)

    def _make_untrained(self, classes: ClassList, config: DetectorConfig) -> Detector:
        origin = self.origin
        try:
            classifier = replace(
                load_classifier(origin.name, weights=RANDOM_WEIGHTS),
                mean=origin.mean,
                std=origin.std,
                weights_sha256=origin.weights_sha256,
            )
            return make_detector(self.architecture, classifier, classes, config=config)
        except ClassifierError as error:
            raise CheckpointError(f"the backbone of the checkpoint cannot be made: {error}") from error


def save_checkpoint(
    store: Store,
    prefix: str,
    detector: Detector,
    *,
    step: int,
    recipe: Mapping[str, Any],
    parents: Mapping[str, str] | None = None,
) -> str:
    """Writes a detector under `prefix` and gives the sha256 of its tensors; one that is there is replaced.

    An empty prefix is the top of the store. `recipe` is plain JSON values; `parents` maps names to
    sha256. Raises StoreError.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in detector.network.state_dict().items()}
    sha256 = hash_tensors(tensors)
    origin = detector.origin
    description = {
        "format_version": FORMAT_VERSION,
        "architecture": detector.architecture,
        "backbone": {"name": origin.name, "weights_sha256": origin.weights_sha256},
        "config": detector.config.to_dict(),
        "classes": [[item.wnid, item.name] for item in detector.classes.classes],
        "normalisation": {"mean": origin.mean, "std": origin.std, "channel_order": _CHANNEL_ORDER},
        "step": step,
        "recipe": dict(recipe),
        "parents": dict(parents or {}),
        "tensors_sha256": sha256,
    }
    data = json.dumps(description, indent=1).encode()
    store.delete(_join(prefix, CHECKPOINT_NAME))
    store.put(_join(prefix, _TENSORS), save(tensors))
    store.put(_join(prefix, CHECKPOINT_NAME), data)
    return sha256


def read_checkpoint(store: Store, prefix: str) -> Checkpoint:
    """The checkpoint under `prefix` (empty for the top of the store), its tensors held against their sha256.

    Raises ObjectMissingError when there is none, CheckpointError when it is damaged, and StoreError.
    """
    described = _join(prefix, CHECKPOINT_NAME)
    text = store.get(described)
    try:
        tensors = load(store.get(_join(prefix, _TENSORS)))
    except SafetensorError as error:
        raise CheckpointError(f"{_join(prefix, _TENSORS)} is damaged ({error}); take another checkpoint") from error
    try:
        checkpoint = _parse(json.loads(text), tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{described} describes no detector this version knows ({type(error).__name__}: {error})"
        ) from error
    if hash_tensors(tensors) != checkpoint.tensors_sha256:
        raise CheckpointError(
            f"{_join(prefix, _TENSORS)} does not hold the tensors that {CHECKPOINT_NAME} names; take another checkpoint"
        )
    return checkpoint


def load_checkpoint(store: Store, prefix: str) -> Detector:
    """The detector stored under `prefix`; raises as `read_checkpoint` and `Checkpoint.make_detector` do."""
    return read_checkpoint(store, prefix).make_detector()


def _join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _parse(values: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    if values["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format_version {FORMAT_VERSION} expected, got {values['format_version']}")
    if values["architecture"] not in ARCHITECTURES:
        raise ValueError(f"architecture is one of {', '.join(ARCHITECTURES)}, got {values['architecture']!r}")
    backbone, normalisation = values["backbone"], values["normalisation"]
    if normalisation["channel_order"] != _CHANNEL_ORDER:
        raise ValueError(f"channel order {_CHANNEL_ORDER} expected, got {normalisation['channel_order']!r}")
    mean, std = (_parse_rgb(normalisation[name]) for name in ("mean", "std"))
    return Checkpoint(
        architecture=values["architecture"],
        origin=BackboneOrigin(str(backbone["name"]), str(backbone["weights_sha256"]), mean, std),
        config=DetectorConfig.from_dict(values["config"]),
        classes=ClassList.from_pairs((wnid, name) for wnid, name in values["classes"]),
        step=int(values["step"]),
        recipe=dict(values["recipe"]),
        parents=dict(values["parents"]),
        tensors_sha256=str(values["tensors_sha256"]),
        tensors=tensors,
    )


def _parse_rgb(values: list[float]) -> Rgb:
    red, green, blue = map(float, values)
    return red, green, blue
