"""Classifiers at the places that jobs, commands and the service name: a network, or where one was trained to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dap_core.class_lists import DEFAULT_CLASSIFIER
from dap_core.errors import InputError
from dap_core.model_descriptions import CHECKPOINT_NAME
from services.storage import is_remote, open_store

if TYPE_CHECKING:
    from dap_core.classifiers import Classifier, Network
    from dap_core.types import ClassList


def is_classifier_place(name: str) -> bool:
    """Whether a name stands for a place: `s3://bucket/prefix`, a path, or a folder that holds a checkpoint.

    `lite0` is the bundled classifier, whatever folders there are.
    """
    path = Path(name)
    is_path = path.is_absolute() or name.startswith(("./", "../"))
    return is_remote(name) or is_path or (name != DEFAULT_CLASSIFIER and (path / CHECKPOINT_NAME).is_file())


def load_classifier_at(name: str, *, weights: str | None = None, classes: ClassList | None = None) -> Classifier:
    """The classifier of a network with its weights, or the one that `dap train-classifier` wrote to a place.

    Raises ClassifierError, InputError when weights or classes are given for one that has its own, StoreError.
    """
    from dap_core.classifier_checkpoints import read_classifier
    from dap_core.classifiers import load_classifier

    if not is_classifier_place(name):
        return load_classifier(name, weights=weights, classes=classes)
    _refuse_parts(name, weights, classes)
    return read_classifier(open_store(name)).make_classifier()


def load_start_at(name: str, *, weights: str | None = None) -> tuple[Network, ClassList | None]:
    """The whole network of `load_classifier_at`, and its classes where it was trained by this project.

    Raises as `load_classifier_at` does.
    """
    from dap_core.classifier_checkpoints import read_classifier
    from dap_core.classifiers import load_network

    if not is_classifier_place(name):
        return load_network(name, weights=weights), None
    _refuse_parts(name, weights, None)
    stored = read_classifier(open_store(name))
    return stored.make_network(), stored.classes


def _refuse_parts(name: str, weights: str | None, classes: ClassList | None) -> None:
    given = " and ".join(what for what, value in (("weights", weights), ("classes", classes)) if value is not None)
    if given:
        raise InputError(f"the classifier in {name} has its own weights and classes; leave out {given}")
