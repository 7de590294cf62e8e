"""Labelling one shard: fetch, label, commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from dap_core.errors import StoreError, StoreRefusedError, StoreUnavailableError
from dap_core.label_sets.fetching import Fetch, start_ahead
from dap_core.label_sets.plan import PlanRow
from dap_core.label_sets.schema import Failure, LabelSetRow
from dap_core.label_sets.segments import DUPLICATE_KEY
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry, ShardFooter, commit_shard, rows_to_batches
from dap_core.labeler import PseudoLabeler
from dap_core.stores import Store
from dap_core.types import FailedImage, LabeledImage

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
        failures: list[Failure] = []
        return commit_shard(self.destination, rows_to_batches(self._label_rows(rows, failures)), failures, footer)

    def _label_rows(self, rows: tuple[PlanRow, ...], failures: list[Failure]) -> Iterator[LabelSetRow]:
        """The rows that can be labelled, in order; the others go to `failures`."""
        for item in self._label_items(rows):
            self.on_image(item)
            if isinstance(item, Failure):
                failures.append(item)
            else:
                yield item

    def _label_items(self, rows: tuple[PlanRow, ...]) -> Iterator[LabelSetRow | Failure]:
        by_key = {key: list(group) for key, group in groupby(rows, key=lambda row: row.key)}
        fetches = [Fetch(self.source, group[0]) for group in by_key.values()]
        started = start_ahead(fetches, self.source.num_parallel_reads)
        results = self.labeler.label_stream((fetch, fetch.row.labels) for fetch in started)
        for fetch, result in zip(fetches, results, strict=True):
            yield self._make_item(fetch, result)
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


def make_settings(
    labeler: PseudoLabeler, source: Store, *, embed_images: bool = True, store_cams: bool = True
) -> LabelingSettings:
    """The settings of a label set that `labeler` makes from `source`."""
    return LabelingSettings(
        recipe=labeler.recipe,
        classes=labeler.classifier.classes,
        classifier=labeler.classifier.name,
        weights_sha256=labeler.classifier.weights_sha256,
        engine=labeler.engine.name,
        precision=labeler.engine.precision,
        source=source.uri,
        embed_images=embed_images,
        store_cams=store_cams,
    )
