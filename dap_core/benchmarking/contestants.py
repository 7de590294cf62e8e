"""What is timed: the paper straight, a labeler that keeps the time of its steps, and the bare forward passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from dap_core.cam import compute_maps, resize_image, run_passes
from dap_core.classifiers import Classifier
from dap_core.engines import Canvases, OpenvinoEngine, TorchEngine
from dap_core.engines.base import InputMaker
from dap_core.images import decode_image
from dap_core.labeler import PseudoLabeler
from dap_core.mining import mine_boxes
from dap_core.passes import CamConfig
from dap_core.recipes import Recipe
from dap_core.threads import use_one_torch_thread

EncodedImage = tuple[bytes, tuple[str, ...]]
"""The bytes of an image file, and its labels."""


class NaiveMiner:
    """The paper straight: one image at a time, four eager forward passes in float32, one after the other.

    Also an engine, so that everything round the passes is the shared code.
    """

    name, precision = "naive", "float32"
    batch_pixels, window, lanes = 1, 1, 1

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        """Takes the classifier as it was loaded, on the CPU."""
        self.classifier, self.recipe = classifier, recipe
        self.seconds_in_passes = 0.0
        self._make_input = InputMaker(classifier, torch.device("cpu"))

    @torch.inference_mode()
    def extract_features(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """Features of the canvas and of its mirror, each run alone."""
        images = self._make_input(canvases, mirror=mirror).contiguous()
        started = time.perf_counter()
        features = torch.cat([self.classifier.backbone(image[None]) for image in images])
        self.seconds_in_passes += time.perf_counter() - started
        return features

    def mine(self, images: Sequence[EncodedImage]) -> int:
        """Mines the images and returns the number of their boxes."""
        num_boxes = 0
        for data, labels in images:
            pixels = decode_image(data).pixels
            resized = resize_image(pixels, self.recipe.cam, self.classifier.grid.stride)
            passes = run_passes(self, [resized], self.recipe.cam)
            indices = tuple(self.classifier.classes.index_of(label) for label in labels)
            [maps] = compute_maps(self.classifier, passes, [indices])
            num_boxes += len(mine_boxes(maps.cams, resized.size_wh, self.recipe.mining).boxes)
        return num_boxes


class TimedLabeler(PseudoLabeler):
    """A labeler that adds up the seconds of its steps: CPU time of decoding and cutting, wall time of the network.

    Over all lanes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """As `PseudoLabeler`."""
        super().__init__(*args, **options)
        self.seconds = {"prepare": 0.0, "run": 0.0, "finish": 0.0}
        self._lock = Lock()

    @contextmanager
    def _timing(self, step: str, clock: Callable[[], float]) -> Iterator[None]:
        started = clock()
        yield
        with self._lock:
            self.seconds[step] += clock() - started

    def _prepare(self, item: Any) -> Any:
        with self._timing("prepare", time.thread_time):
            return super()._prepare(item)

    def _run(self, window: Any) -> Any:
        with self._timing("run", time.perf_counter):
            return super()._run(window)

    def _finish(self, item: Any) -> Any:
        with self._timing("finish", time.thread_time):
            return super()._finish(item)

    def mine(self, images: Sequence[EncodedImage]) -> int:
        """Mines the images and returns the number of their boxes."""
        labelled = self([data for data, _ in images], [list(labels) for _, labels in images])
        return sum(len(image.boxes) for image in labelled)


class PassRecorder:
    """An engine that keeps the network inputs it is asked for, to run them again bare."""

    name, precision = "recorder", "float32"

    def __init__(self, engine: TorchEngine | OpenvinoEngine) -> None:
        """Groups canvases as `engine` does."""
        self.engine, self.classifier = engine, engine.classifier
        self.batch_pixels, self.window, self.lanes = engine.batch_pixels, engine.window, 1
        self.inputs: list[Tensor] = []

    def extract_features(self, canvases: Canvases, *, mirror: bool) -> Tensor:
        """Nothing of use: one empty feature map per canvas."""
        images = self.engine.make_input(canvases, mirror=mirror)
        self.inputs.append(images)
        return torch.zeros(len(images), 1, 1, 1)


def time_bare_passes(engine: TorchEngine | OpenvinoEngine, images: Sequence[EncodedImage], config: CamConfig) -> float:
    """Seconds of the engine's forward passes alone, on the canvases, in the batches and lanes that mining would use."""
    recorder = PassRecorder(engine)
    for start in range(0, len(images), engine.window):
        pixels = [decode_image(data).pixels for data, _ in images[start : start + engine.window]]
        run_passes(recorder, [resize_image(one, config, engine.classifier.grid.stride) for one in pixels], config)
    with ThreadPoolExecutor(engine.lanes, initializer=use_one_torch_thread) as lanes:
        started = time.perf_counter()
        for _ in lanes.map(engine.forward, recorder.inputs):
            pass
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - started
