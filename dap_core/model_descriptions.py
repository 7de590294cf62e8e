"""What a stored model says of itself, without its tensors: the `checkpoint.json` of a detector or a classifier."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from dap_core.errors import CheckpointError, ObjectMissingError, StoreError, StoreRefusedError, StoreUnavailableError
from dap_core.stores import Store

CHECKPOINT_NAME = "checkpoint.json"
CLASSIFIER_KIND = "classifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """A stored model; of a classifier the architecture is its network."""

    architecture: str
    backbone: str | None
    """The network below a detector, None of a classifier."""
    class_names: tuple[str, ...]
    class_agnostic: bool
    step: int
    recipe: str
    """The name of the training recipe."""
    tensors_sha256: str
    sha256: str
    """Of the whole description."""
    values: dict[str, Any] = field(repr=False)
    """All that is stored."""

    @property
    def is_detector(self) -> bool:
        """Whether it finds boxes."""
        return self.backbone is not None


def read_description(store: Store) -> ModelDescription | None:
    """The model at the top of a store, None where there is none. Raises CheckpointError, StoreError."""
    try:
        text = store.get(CHECKPOINT_NAME)
    except ObjectMissingError:
        return None
    except (StoreRefusedError, StoreUnavailableError):
        raise
    except StoreError as error:
        raise CheckpointError(f"{error}") from error
    try:
        return _parse(json.loads(text, parse_constant=_refuse_constant), hashlib.sha256(text).hexdigest())
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{CHECKPOINT_NAME} describes no model this version knows ({type(error).__name__}: {error})"
        ) from error


def _parse(values: dict[str, Any], sha256: str) -> ModelDescription:
    is_classifier = values.get("kind") == CLASSIFIER_KIND
    return ModelDescription(
        architecture=str(values["network"] if is_classifier else values["architecture"]),
        backbone=None if is_classifier else str(values["backbone"]["name"]),
        class_names=tuple(str(name) for _, name in values["classes"]),
        class_agnostic=not is_classifier and bool(values["config"]["class_agnostic"]),
        step=int(values["step"]),
        recipe=str(values["recipe"].get("name", "")),
        tensors_sha256=str(values["tensors_sha256"]),
        sha256=sha256,
        values=values,
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
