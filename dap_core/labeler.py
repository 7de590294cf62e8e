"""`PseudoLabeler`: the only code that turns images and labels into pseudo boxes."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dap_core.cam import ClassifiedMaps, ResizedImage, compute_maps, resize_image, run_passes
from dap_core.class_lists import DEFAULT_CLASSIFIER
from dap_core.classifiers import Classifier, load_classifier
from dap_core.engines import Engine, EngineName, Precision, make_engine
from dap_core.errors import ImageError, StoreError, UnknownLabelError
from dap_core.images import DecodedImage, ImageLimits, decode_image, image_from_pillow, image_from_pixels
from dap_core.mining import mine_boxes
from dap_core.pipelines import run_lanes
from dap_core.recipes import DEFAULT_RECIPE, Recipe, get_recipe
from dap_core.threads import single_threaded_libraries, use_one_torch_thread
from dap_core.types import AUTO, FailedImage, Label, LabeledImage

ImageLike: TypeAlias = bytes | str | Path | NDArray[np.uint8] | Image.Image
ImageSource: TypeAlias = ImageLike | Callable[[], bytes]
Labels: TypeAlias = Label | Sequence[Label]
_FETCH_THREADS = 8


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An image ready for the network; `labels` None stands for the classifier's own choice."""

    labels: tuple[int, ...] | None
    exif_orientation: int
    resized: ResizedImage


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A prepared image and what the network made of it."""

    image: _Prepared
    maps: ClassifiedMaps


class PseudoLabeler:
    """Mines pseudo boxes from images with image-level labels (step 2 of the paper).

    >>> from dap_core import PseudoLabeler
    >>> from skimage.data import chelsea
    >>> labeler = PseudoLabeler()
    >>> [cat] = labeler([chelsea()], ["Egyptian cat"])
    >>> labeler.classifier.classes[cat.labels[0]].wnid, cat.boxes.boxes.shape[1]
    ('n02124075', 4)
    """

    def __init__(
        self,
        classifier: Classifier | str = DEFAULT_CLASSIFIER,
        *,
        weights: str | Path | None = None,
        recipe: Recipe | str = DEFAULT_RECIPE,
        engine: Engine | EngineName = "auto",
        precision: Precision = "auto",
        device: str | torch.device | None = None,
        limits: ImageLimits | None = None,
    ) -> None:
        """Loads the classifier unless given one, and the engine that runs it: the fastest here unless named.

        Raises ClassifierError for a network or weights that cannot be used and InputError for an
        unknown recipe, or an engine, precision or device that is not to be had.
        """
        self.recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
        if isinstance(engine, str):
            loaded = load_classifier(classifier, weights=weights) if isinstance(classifier, str) else classifier
            engine = make_engine(loaded, engine=engine, precision=precision, device=device)
        self.engine = engine
        self.limits = limits or ImageLimits()
        self._network = BoundedSemaphore(engine.lanes)
        overlaps = engine.window > 1
        self.num_lanes: int = engine.lanes + 2 * overlaps
        """Windows worked on at the same time; with large ones, one is decoded and one cut while one runs."""
        self._decoders = ThreadPoolExecutor(os.cpu_count(), "dap-decode") if overlaps else None

    @property
    def classifier(self) -> Classifier:
        """The classifier that draws the maps."""
        return self.engine.classifier

    def __call__(self, images: Sequence[ImageLike], labels: Sequence[Labels]) -> list[LabeledImage]:
        """Boxes for each image, in order.

        An image is encoded bytes, a path, an RGB array uint8 [H, W, 3], or a PIL image. Its labels are one
        or several of wnid, name or index, or `"auto"` for the classifier's first choice.

        Raises ImageError or UnknownLabelError for the first image that cannot be labelled, ValueError when
        the two sequences differ in length.
        """
        results = []
        for item in self.label_each(images, labels):
            if isinstance(item, FailedImage):
                raise item.error
            results.append(item)
        return results

    def label_each(self, images: Sequence[ImageLike], labels: Sequence[Labels]) -> list[LabeledImage | FailedImage]:
        """As calling the labeler, but an image that cannot be labelled gives a `FailedImage` in its place."""
        if len(images) != len(labels):
            raise ValueError(f"as many labels as images are needed, got {len(images)} images and {len(labels)} labels")
        return list(self.label_stream(zip(images, labels, strict=True)))

    def label_stream(self, items: Iterable[tuple[ImageSource, Labels]]) -> Iterator[LabeledImage | FailedImage]:
        """Boxes for a stream of images and labels, in order, with bounded memory.

        Decoding, the network and mining overlap. An image may also be a function that fetches its bytes: it is called
        in a thread ahead of time, and a StoreError of it makes a `FailedImage`. What an image gives does not depend on
        the others but for rounding; equal streams give equal results.
        """
        fetchers = ThreadPoolExecutor(_FETCH_THREADS, thread_name_prefix="dap-fetch")
        with single_threaded_libraries(), fetchers:
            yield from run_lanes(
                ((fetchers.submit(source) if callable(source) else source, labels) for source, labels in items),
                self.label_window,
                window=self.engine.window,
                num_lanes=self.num_lanes,
                start_lane=use_one_torch_thread,
            )

    def label_window(
        self, items: Sequence[tuple[ImageSource | Future[bytes], Labels]]
    ) -> list[LabeledImage | FailedImage]:
        """Boxes for a few images, in order, in the caller's thread: what each lane of `label_stream` does.

        Who calls it from threads of their own keeps `num_lanes` of them and begins .
        """
        prepared = list(self._decoders.map(self._prepare, items) if self._decoders else map(self._prepare, items))
        with self._network:
            mapped = self._run(prepared)
        return [self._finish(item) for item in mapped]

    def with_recipe(self, recipe: Recipe) -> PseudoLabeler:
        """A labeler with another recipe that shares this one's engine."""
        other = copy.copy(self)
        other.recipe = recipe
        return other

    def _prepare(self, item: tuple[ImageSource | Future[bytes], Labels]) -> _Prepared | FailedImage:
        source, labels = item
        try:
            indices = self._resolve(labels)
            image = self._decode(_fetch(source))
        except (ImageError, UnknownLabelError, StoreError) as error:
            return FailedImage(error)
        resized = resize_image(image.pixels, self.recipe.cam, self.classifier.grid.stride)
        return _Prepared(indices, image.exif_orientation, resized)

    def _run(self, window: list[_Prepared | FailedImage]) -> list[_Mapped | FailedImage]:
        """The network over the images of a window that could be prepared."""
        good = [item for item in window if isinstance(item, _Prepared)]
        passes = run_passes(self.engine, [item.resized for item in good], self.recipe.cam)
        maps = iter(compute_maps(self.classifier, passes, [item.labels for item in good]))
        return [item if isinstance(item, FailedImage) else _Mapped(item, next(maps)) for item in window]

    def _finish(self, item: _Mapped | FailedImage) -> LabeledImage | FailedImage:
        if isinstance(item, FailedImage):
            return item
        maps, size_wh = item.maps, item.image.resized.size_wh
        return LabeledImage(
            size_wh=size_wh,
            exif_orientation=item.image.exif_orientation,
            labels=maps.labels,
            label_scores=maps.label_scores,
            top1=maps.top1,
            top1_score=maps.top1_score,
            mined=mine_boxes(maps.cams, size_wh, self.recipe.mining),
            cams=maps.cams,
        )

    def _resolve(self, labels: Labels) -> tuple[int, ...] | None:
        """Indices of the labels; None stands for the classifier's own choice."""
        several: Sequence[Any] = labels if isinstance(labels, Sequence) and not isinstance(labels, str) else [labels]
        if tuple(several) == (AUTO,):
            return None
        if not several:
            raise ImageError("no-label", "the image has no label; give one, or auto for the classifier's own")
        return tuple(dict.fromkeys(self.classifier.classes.index_of(label) for label in several))

    def _decode(self, image: ImageLike) -> DecodedImage:
        if isinstance(image, np.ndarray):
            return image_from_pixels(image, self.limits)
        if isinstance(image, Image.Image):
            return image_from_pillow(image, self.limits)
        return decode_image(image if isinstance(image, bytes) else _read_file(Path(image)), self.limits)


def _fetch(source: ImageSource | Future[bytes]) -> ImageLike:
    if isinstance(source, Future):
        return source.result()
    return source() if callable(source) else source


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ImageError("unreadable-file", f"{str(path)!r} cannot be read: {error}") from error
