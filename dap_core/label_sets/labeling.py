"""Labelling one shard: fetch, label, commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from dap_core.errors import StoreError, StoreRefusedError, StoreUnavailableError
from dap_core.label_sets.fetching import Fetch, start_ahead
from dap_core.label_sets.plan import PlanRow
from dap_core.label_sets.schema import Failure, LabelSetRow
from dap_core.label_sets.segments import DUPLICATE_KEY
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry, ShardFooter, commit_shard, rows_to_batches
from dap_core.label_sets.timings import ShardTimings
from dap_core.stores import Store
from dap_core.types import FailedImage, LabeledImage

if TYPE_CHECKING:
    from dap_core.classifiers import Classifier
    from dap_core.labeler import PseudoLabeler
    from dap_core.recipes import Recipe

OnImage = Callable[[LabelSetRow | Failure], None]


class LabelsStreams(Protocol):
    """What labels the images of a shard: a `PseudoLabeler`, or one kept apart in another process."""

    def label_stream(
        self, items: Iterable[tuple[Callable[[], bytes], tuple[str, ...]]]
    ) -> Iterator[LabeledImage | FailedImage]:
        """Boxes for a stream of functions that read images, and their labels, in order."""
        ...


@dataclass(frozen=True)
class ShardLabeler:
    """Labels the rows of a shard from a source store into a destination store; a `runner.MakeShard`.

    A bad image becomes a failure and the rest goes on; `on_image` hears of every image as it is done. A store that
    refuses or cannot be reached ends the shard: StoreRefusedError, StoreUnavailableError.
    """

    labeler: LabelsStreams
    source: Store
    destination: Store
    settings: LabelingSettings
    on_image: OnImage = lambda _item: None

    def __call__(self, rows: tuple[PlanRow, ...], footer: ShardFooter) -> ShardEntry:
        """Labels and commits one shard."""
        watch, failures = _Stopwatch(), list[Failure]()
        batches = rows_to_batches(self._label_rows(rows, failures, watch))
        entry = commit_shard(self.destination, batches, failures, footer)
        return replace(entry, timings=watch.stop())

    def _label_rows(
        self, rows: tuple[PlanRow, ...], failures: list[Failure], watch: _Stopwatch
    ) -> Iterator[LabelSetRow]:
        """The rows that can be labelled, in order; the others go to `failures`."""
        for item in self._label_items(rows, watch):
            self.on_image(item)
            if isinstance(item, Failure):
                failures.append(item)
            else:
                yield item
        watch.note_labelled()

    def _label_items(self, rows: tuple[PlanRow, ...], watch: _Stopwatch) -> Iterator[LabelSetRow | Failure]:
        by_key = {key: list(group) for key, group in groupby(rows, key=lambda row: row.key)}
        fetches = [Fetch(self.source, group[0]) for group in by_key.values()]
        started = start_ahead(fetches, self.source.num_parallel_reads)
        results = self.labeler.label_stream((fetch, fetch.row.labels) for fetch in started)
        for fetch, result in zip(fetches, results, strict=True):
            yield self._make_item(fetch, result)
            watch.fetch_s += fetch.seconds
            fetch.release()
            for row in by_key[fetch.row.key][1:]:
                labels = f"{list(fetch.row.labels)} and {list(row.labels)}"
                yield Failure(row.key, DUPLICATE_KEY, f"listed twice, with labels {labels}; the first counts")

    def _make_item(self, fetch: Fetch, result: LabeledImage | FailedImage) -> LabelSetRow | Failure:
        row = fetch.row
        if isinstance(result, FailedImage):
            if isinstance(result.error, StoreRefusedError | StoreUnavailableError):
                raise result.error  # says nothing of this image
            kind = "unreadable-file" if type(result.error) is StoreError else result.error.error_type
            return Failure(row.key, kind, str(result.error))
        return LabelSetRow(
            key=row.key,
            image=fetch.data if self.settings.embed_images else None,
            size_wh=result.size_wh,
            labels=result.labels,
            label_scores=result.label_scores,
            top1=result.top1,
            top1_score=result.top1_score,
            boxes=result.boxes,
            no_box_reasons=result.mined.no_box_reasons,
            cams=result.cams if self.settings.store_cams else (),
            etag=row.etag,
            sha256=fetch.sha256,
            exif_orientation=result.exif_orientation,
        )


class _Stopwatch:
    """Measures the stages of one shard."""

    def __init__(self) -> None:
        self.fetch_s = 0.0
        self._started, self._begun = time.time(), time.perf_counter()
        self._labelled = self._begun

    def note_labelled(self) -> None:
        """The last row is made; what follows is the commit."""
        self._labelled = time.perf_counter()

    def stop(self) -> ShardTimings:
        """The stages, now that the shard is committed."""
        label_s, commit_s = self._labelled - self._begun, time.perf_counter() - self._labelled
        return ShardTimings(self._started, round(self.fetch_s, 3), round(label_s, 3), round(commit_s, 3))


def make_settings(
    labeler: PseudoLabeler, source: Store, *, embed_images: bool = True, store_cams: bool = True
) -> LabelingSettings:
    """The settings of a label set that `labeler` makes from `source`."""
    return describe_settings(
        labeler.classifier,
        labeler.recipe,
        (labeler.engine.name, labeler.engine.precision),
        source,
        embed_images=embed_images,
        store_cams=store_cams,
    )


def describe_settings(
    classifier: Classifier,
    recipe: Recipe,
    engine: tuple[str, str],
    source: Store,
    *,
    embed_images: bool = True,
    store_cams: bool = True,
) -> LabelingSettings:
    """The settings of a label set that a labeler with this engine (name and precision) would make from `source`."""
    return LabelingSettings(
        recipe=recipe,
        classes=classifier.classes,
        classifier=classifier.name,
        weights_sha256=classifier.weights_sha256,
        engine=engine[0],
        precision=engine[1],
        source=source.uri,
        embed_images=embed_images,
        store_cams=store_cams,
    )
