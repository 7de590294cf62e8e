"""The child process of `services.detecting`: keeps the detectors that were asked for last, and runs them."""

from __future__ import annotations

import hashlib
import signal
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from dap_core.errors import DapError, ObjectChangedError
from dap_core.model_descriptions import CHECKPOINT_NAME
from dap_core.types import FailedImage, PredictedImage
from services.storage import open_store

if TYPE_CHECKING:
    from dap_core.detectors.predicting import Predictor

PROCESS_NAME = "dap-detectors"
MOST_KEPT = 2


class Step(StrEnum):
    """What the child says before its answer."""

    LOADING = "loading"
    RUNNING = "running"


class KeptDetectors:
    """Detectors by place and sha256 of their description, loaded when they are asked for, those of last at hand."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._kept: OrderedDict[tuple[str, str], Predictor] = OrderedDict()

    def find(self, place: str, sha256: str, on_load: Callable[[], None]) -> Predictor:
        """The detector; `on_load` is called before it is loaded, where it has to be.

        Raises ObjectChangedError when another one is in the place, CheckpointError, InputError, StoreError.
        """
        key = place, sha256
        if key not in self._kept:
            on_load()
            while len(self._kept) >= MOST_KEPT:
                self._kept.popitem(last=False)
            self._kept[key] = load_detector(place, sha256, self._device)
        self._kept.move_to_end(key)
        return self._kept[key]


def load_detector(place: str, sha256: str, device: str | None) -> Predictor:
    """A detector as a predict job runs it. Raises as `KeptDetectors.find` does."""
    from services.jobs.evaluation_specs import PredictionFields  # here: what follows imports torch
    from services.jobs.predictors import make_predictor
    from services.places import open_checkpoint_at

    if hashlib.sha256(open_store(place).get(CHECKPOINT_NAME)).hexdigest() != sha256:
        raise ObjectChangedError(f"{place} holds another detector than it did a moment ago")
    fields = PredictionFields.model_validate({"detector": place, "device": device})
    return make_predictor(fields, open_checkpoint_at(place))


def serve_detectors(pipe: Connection, device: str | None) -> None:
    """Answers place, sha256 and image, one after the other, until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the parent lets requests end first
    import torch

    torch.set_num_threads(1)  # an image is run by one thread in any case
    detectors = KeptDetectors(device)
    while True:
        try:
            place, sha256, data = pipe.recv()
        except EOFError:
            return
        pipe.send(_detect(pipe, detectors, place, sha256, data))


def _detect(
    pipe: Connection, detectors: KeptDetectors, place: str, sha256: str, data: bytes
) -> PredictedImage | FailedImage | Exception:
    try:
        predictor = detectors.find(place, sha256, lambda: pipe.send(Step.LOADING))
        pipe.send(Step.RUNNING)
        [found] = predictor.predict_stream([data])
    except DapError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever it is, this request met it
        return RuntimeError(f"a detector failed unexpectedly: {type(error).__name__}: {error}")
    return found
