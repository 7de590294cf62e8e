"""Trained classifiers in an object store: `model.safetensors` and the `checkpoint.json` that describes it.

The tensors have the names of the library's network, so they are also weights that `load_classifier` reads from a file.
The description is written last: where there is one, its tensors are complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dap_core.checkpoints import hash_tensors, load_weights
from dap_core.classifiers import Classifier, Network, Rgb, make_network
from dap_core.errors import ClassifierError, ObjectMissingError
from dap_core.model_descriptions import CHECKPOINT_NAME, CLASSIFIER_KIND
from dap_core.stores import Store
from dap_core.types import ClassList

FORMAT_VERSION = 1
_TENSORS = "model.safetensors"
_CHANNEL_ORDER = "RGB"


@dataclass(frozen=True)
class StoredClassifier:
    """A stored classifier: network, classes, how far it was trained, and its tensors by the library's names."""

    place: str
    """What names it in messages."""
    network: str
    classes: ClassList
    mean: Rgb
    std: Rgb
    step: int
    recipe: dict[str, Any]
    parents: dict[str, str]
    """The sha256 of what it was made from, such as of the weights it started with."""
    tensors: dict[str, Tensor]

    def make_network(self) -> Network:
        """The trained network. Nothing is downloaded. Raises ClassifierError when the tensors do not fit it."""
        network = make_network(self.network, len(self.classes))
        load_weights(network.module, self.tensors, self.place)
        return replace(network, mean=self.mean, std=self.std)

    def make_classifier(self) -> Classifier:
        """The classifier, named as its network is. Raises ClassifierError."""
        return self.make_network().make_classifier(self.classes)


def save_classifier(
    store: Store,
    network: Network,
    classes: ClassList,
    *,
    step: int,
    recipe: Mapping[str, Any],
    parents: Mapping[str, str],
) -> str:
    """Writes a classifier to the top of a store and gives the sha256 of its tensors; one that is there is replaced.

    `recipe` is plain JSON values; `parents` maps names to sha256. Raises StoreError.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.module.state_dict().items()}
    sha256 = hash_tensors(tensors)
    description = {
        "format_version": FORMAT_VERSION,
        "kind": CLASSIFIER_KIND,
        "network": network.name,
        "classes": [[item.wnid, item.name] for item in classes.classes],
        "normalisation": {"mean": network.mean, "std": network.std, "channel_order": _CHANNEL_ORDER},
        "step": step,
        "recipe": dict(recipe),
        "parents": dict(parents),
        "tensors_sha256": sha256,
    }
    data = json.dumps(description, indent=1).encode()
    store.delete(CHECKPOINT_NAME)
    store.put(_TENSORS, save(tensors))
    store.put(CHECKPOINT_NAME, data)
    return sha256


def read_classifier(store: Store) -> StoredClassifier:
    """The classifier at the top of a store, its tensors held against their sha256.

    Raises ClassifierError when there is none, it is a detector, or it is damaged; StoreError.
    """
    try:
        text = store.get(CHECKPOINT_NAME)
        tensors = load(store.get(_TENSORS))
    except ObjectMissingError as error:
        raise ClassifierError(
            f"{store.uri} holds no classifier: expected {CHECKPOINT_NAME} and {_TENSORS} in it ({error}); give the "
            "folder that a finished `dap train-classifier` wrote"
        ) from error
    except SafetensorError as error:
        raise ClassifierError(f"{_TENSORS} of {store.uri} is damaged ({error}); train it anew") from error
    try:
        values = json.loads(text)
        stored = _parse(values, tensors, store.uri)
        is_sound = hash_tensors(tensors) == values["tensors_sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClassifierError(
            f"{CHECKPOINT_NAME} of {store.uri} describes no classifier this version knows "
            f"({type(error).__name__}: {error})"
        ) from error
    if not is_sound:
        raise ClassifierError(f"{_TENSORS} of {store.uri} is not what {CHECKPOINT_NAME} names; train it anew")
    return stored


def _parse(values: dict[str, Any], tensors: dict[str, Tensor], place: str) -> StoredClassifier:
    if values.get("kind") != CLASSIFIER_KIND:
        raise ValueError(
            f"a checkpoint of kind {CLASSIFIER_KIND} expected, got {values.get('kind', values.get('architecture'))!r}"
        )
    if values["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format_version {FORMAT_VERSION} expected, got {values['format_version']}")
    normalisation = values["normalisation"]
    if normalisation["channel_order"] != _CHANNEL_ORDER:
        raise ValueError(f"channel order {_CHANNEL_ORDER} expected, got {normalisation['channel_order']!r}")
    mean, std = (_parse_rgb(normalisation[name]) for name in ("mean", "std"))
    return StoredClassifier(
        place=place,
        network=str(values["network"]),
        classes=ClassList.from_pairs((wnid, name) for wnid, name in values["classes"]),
        mean=mean,
        std=std,
        step=int(values["step"]),
        recipe=dict(values["recipe"]),
        parents=dict(values["parents"]),
        tensors=tensors,
    )


def _parse_rgb(values: list[float]) -> Rgb:
    red, green, blue = map(float, values)
    return red, green, blue
