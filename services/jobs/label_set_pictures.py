"""Pictures of the images of a label set: from its shards, or from where it refers to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from dap_core.errors import ImageError, InputError, StoreError, StoreRefusedError, StoreUnavailableError
from dap_core.gallery.pictures import shrink_image
from dap_core.images import ImageLimits, decode_image, encode_jpeg
from dap_core.label_sets import LabelSet
from dap_core.label_sets.sampling import SampledRow, read_images
from services.jobs.job_policy import JobPolicy
from services.jobs.label_set_views import SampleViews, choose_row, open_label_set_of, refuse_damage
from services.jobs.made_once import MadeOnce
from services.jobs.refusals import OutputMissingError
from services.jobs.spec_places import lies_inside, list_inputs
from services.jobs.specs import JobSpec

_MOST_BYTES, _ENTRY_BYTES = 64 * 2**20, 100
_ANY_SHAPE = ImageLimits(min_side=1, max_aspect_ratio=math.inf)
_Images = list[bytes | None]


class LabelSetPictures:
    """Images of the label sets of jobs; the row groups that were read last are kept. Blocks, safe in threads.

    All raise OutputMissingError where there is no such image or it is gone, StoreError.
    """

    def __init__(self, views: SampleViews, policy: JobPolicy) -> None:
        """An image that a label set refers to is read below the places of `policy` and of the job's inputs alone."""
        self._views, self._policy = views, policy
        self._groups: MadeOnce[tuple[str, str, int], _Images] = MadeOnce(_MOST_BYTES, _count_bytes)

    def read_image(self, spec: JobSpec, number: int) -> bytes:
        """The encoded image with that number in the sample, as it was labelled."""
        label_set = open_label_set_of(spec)
        one = choose_row(self._views.read_rows(label_set), number)
        image = self._read_stored(label_set, one)
        if image is None:
            self._check_source(spec, label_set, one.row.key)
        with _refuse_gone(one.row.key):
            return label_set.read_image(replace(one.row, image=image))

    def draw_image(self, spec: JobSpec, number: int, max_side: int) -> bytes:
        """The image as a JPEG whose longer side has at most `max_side` pixels, upright."""
        return _draw(self.read_image(spec, number), max_side, ImageLimits())

    def draw_failed(self, spec: JobSpec, number: int, max_side: int) -> bytes:
        """The image with that number among the failures as such a JPEG, where it can be decoded at all."""
        label_set = open_label_set_of(spec)
        with refuse_damage():
            failure = next(islice(label_set.failures(number), 1), None)
        if failure is None:
            raise OutputMissingError(f"there is no failure {number} in the label set")
        self._check_source(spec, label_set, failure.key)
        with _refuse_gone(failure.key):
            data = label_set.source.get(failure.key)
        return _draw(data, max_side, _ANY_SHAPE)

    def _read_stored(self, label_set: LabelSet, one: SampledRow) -> bytes | None:
        name = label_set.store.uri, one.group.entry.data, one.group.number
        with refuse_damage():
            return self._groups.get(name, lambda: read_images(label_set.store, one.group))[one.index]

    def _check_source(self, spec: JobSpec, label_set: LabelSet, key: str) -> None:
        """What a manifest and its keys name is not always what a job was allowed to read."""
        place = f"{label_set.manifest.settings.source.rstrip('/')}/{key}"
        try:
            is_allowed = self._policy.allows(place) or any(lies_inside(place, one.place) for one in list_inputs(spec))
        except (InputError, ValueError):
            is_allowed = False
        if not is_allowed:
            raise OutputMissingError(f"the image {key} lies outside the places that jobs of this service may read")


def _draw(data: bytes, max_side: int, limits: ImageLimits) -> bytes:
    try:
        return encode_jpeg(shrink_image(decode_image(data, limits).pixels, max_side))
    except ImageError as error:
        raise OutputMissingError(f"the image cannot be shown: {error}") from error


@contextmanager
def _refuse_gone(key: str) -> Iterator[None]:
    try:
        yield
    except (StoreRefusedError, StoreUnavailableError):
        raise
    except (StoreError, ValueError) as error:
        raise OutputMissingError(f"the image {key} is no longer where it was labelled: {error}") from error


def _count_bytes(images: _Images) -> int:
    return sum(_ENTRY_BYTES + len(image or b"") for image in images)
