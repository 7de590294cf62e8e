"""What the service asks of a labeler, and the labeler of this process: one image at a time from many callers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from threading import Condition, Thread
from typing import Protocol, TypeAlias

import numpy as np
import torch

from dap_core.labeler import PseudoLabeler
from dap_core.recipes import Recipe
from dap_core.threads import single_threaded_libraries, use_one_torch_thread
from dap_core.types import AUTO, ClassList, FailedImage, LabeledImage
from services.classifiers import load_classifier_at
from services.settings import ServiceSettings

Reply: TypeAlias = LabeledImage | FailedImage
_WARM_UP_HW = (375, 500)
MAX_PASS_PIXELS = 20 * 576**2
"""Of a resized image: the longest one allowed at the larger scale of recipes; each takes some 360 bytes in passes."""


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """One encoded image, its labels (or `("auto",)`) and how to cut them."""

    data: bytes = field(repr=False)
    labels: tuple[str, ...]
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What runs: the classifier with its classes, and the engine."""

    classifier: str
    weights_sha256: str
    classes: ClassList = field(repr=False)
    engine: str
    precision: str


class NotReadyError(Exception):
    """No labeler can be asked at the moment; the caller should try again."""


class Labeling(Protocol):
    """A labeler that many callers ask at the same time."""

    async def label(self, request: LabelRequest) -> Reply:
        """Boxes of one image, or why there are none. Cancelling takes it out of the queue. Raises NotReadyError."""
        ...

    async def describe(self) -> ModelInfo:
        """What runs. Raises NotReadyError while the model is loading."""
        ...


def make_labeler(settings: ServiceSettings) -> PseudoLabeler:
    """The labeler that a service asks for, run once so that the first caller does not wait for it.

    On a CPU it has as many lanes as `cpus_per_replica`, all cores when left out. Raises InputError, ClassifierError,
    StoreError.
    """
    if settings.cpus_per_replica is not None:
        torch.set_num_threads(max(1, round(settings.cpus_per_replica)))
    labeler = PseudoLabeler(
        load_classifier_at(settings.classifier, weights=settings.weights),
        engine=settings.engine,
        precision=settings.precision,
        device=settings.device,
    )
    labeler([np.zeros((*_WARM_UP_HW, 3), np.uint8)] * labeler.num_lanes, [AUTO] * labeler.num_lanes)
    return labeler


class LabelerPool:
    """The lanes of one labeler, fed by many callers: waiting images of one recipe share a window.

    An image never fails another one: when a window raises, its images are run one by one.
    """

    def __init__(self, labeler: PseudoLabeler, on_window: Callable[[int], None] = lambda _: None) -> None:
        """Starts the lanes; `on_window` hears how many images each of them takes at once."""
        self.labeler, self._on_window = labeler, on_window
        self._waiting: deque[tuple[LabelRequest, Future[Reply]]] = deque()
        self._changed = Condition()
        self._closed = False
        self._lanes = [Thread(target=self._run, name=f"dap-lane-{number}") for number in range(labeler.num_lanes)]
        for lane in self._lanes:
            lane.daemon = True
            lane.start()

    def submit(self, request: LabelRequest) -> Future[Reply]:
        """The reply to come; cancelling it before its turn costs nothing. Raises RuntimeError after `close`."""
        reply: Future[Reply] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the pool is closed")
            self._waiting.append((request, reply))
            self._changed.notify()
        return reply

    async def label(self, request: LabelRequest) -> Reply:
        """The reply, awaited; cancelling takes the request out of the queue."""
        return await asyncio.wrap_future(self.submit(request))

    async def describe(self) -> ModelInfo:
        """What the labeler runs."""
        classifier, engine = self.labeler.classifier, self.labeler.engine
        return ModelInfo(classifier.name, classifier.weights_sha256, classifier.classes, engine.name, engine.precision)

    @property
    def is_healthy(self) -> bool:
        """Whether every lane is alive."""
        return all(lane.is_alive() for lane in self._lanes)

    def close(self) -> None:
        """Lets what is running end, drops the rest, and ends the lanes."""
        with self._changed:
            self._closed = True
            for _, reply in self._waiting:
                reply.cancel()
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join()

    def _run(self) -> None:
        use_one_torch_thread()
        with single_threaded_libraries():
            while window := self._take():
                self._on_window(len(window))
                self._label(window)

    def _take(self) -> list[tuple[LabelRequest, Future[Reply]]]:
        """The next images to run together, first come first; none when the pool is closed."""
        taken: list[tuple[LabelRequest, Future[Reply]]] = []
        with self._changed:
            while not taken and not self._closed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                others = []
                while self._waiting and len(taken) < self.labeler.engine.window:
                    item = self._waiting.popleft()
                    if taken and item[0].recipe != taken[0][0].recipe:
                        others.append(item)
                    elif item[1].set_running_or_notify_cancel():
                        taken.append(item)
                self._waiting.extendleft(reversed(others))
        return taken

    def _label(self, window: list[tuple[LabelRequest, Future[Reply]]]) -> None:
        try:
            labeler = self._tune(window[0][0].recipe)
            replies = labeler.label_window([(request.data, request.labels) for request, _ in window])
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the callers, and the lane lives on
            if len(window) == 1:
                window[0][1].set_exception(error)
            else:
                for item in window:
                    self._label([item])
            return
        for (_, reply), found in zip(window, replies, strict=True):
            reply.set_result(found)

    def _tune(self, recipe: Recipe) -> PseudoLabeler:
        """The labeler with a recipe; the larger its scales, the less long and thin an image may be."""
        labeler = self.labeler.with_recipe(recipe)
        longest = round(MAX_PASS_PIXELS / max(recipe.cam.short_sides) ** 2, 1)
        labeler.limits = replace(labeler.limits, max_aspect_ratio=min(labeler.limits.max_aspect_ratio, longest))
        return labeler
