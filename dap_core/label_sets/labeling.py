"""Labelling one shard: fetch, label, commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dap_core.errors import StoreError
from dap_core.label_sets.plan import PlanRow
from dap_core.label_sets.schema import Failure, LabelSetRow
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry, ShardFooter, commit_shard, rows_to_batches
from dap_core.labeler import PseudoLabeler
from dap_core.stores import Store
from dap_core.types import FailedImage, LabeledImage

OnImage = Callable[[LabelSetRow | Failure], None]


@dataclass(frozen=True)
class ShardLabeler:
    """Labels the rows of a shard from a source store into a destination store; a `runner.MakeShard`.

    A bad image becomes a failure and the rest goes on; `on_image` hears of every image as it is done.
    """

    labeler: PseudoLabeler
    source: Store
    destination: Store
    settings: LabelingSettings
    on_image: OnImage = lambda _item: None

    def __call__(self, rows: tuple[PlanRow, ...], footer: ShardFooter) -> ShardEntry:
        """Labels and commits one shard."""
        labelled: list[LabelSetRow] = []
        failures: list[Failure] = []
        for item in self._label_rows(rows):
            (labelled if isinstance(item, LabelSetRow) else failures).append(item)  # type: ignore[arg-type]
            self.on_image(item)
        return commit_shard(self.destination, rows_to_batches(labelled), failures, footer)

    def _label_rows(self, rows: tuple[PlanRow, ...]) -> Iterator[LabelSetRow | Failure]:
        previous: PlanRow | None = None
        for row in rows:
            if previous is not None and row.key == previous.key:
                message = f"listed twice, with labels {list(previous.labels)} and {list(row.labels)}; the first counts"
                yield Failure(row.key, "duplicate-key", message)
                continue
            previous = row
            yield self._label_row(row)

    def _label_row(self, row: PlanRow) -> LabelSetRow | Failure:
        try:
            data = self.source.get(row.key, etag=row.etag)
        except StoreError as error:
            kind = "unreadable-file" if type(error) is StoreError else error.error_type
            return Failure(row.key, kind, str(error))
        except ValueError as error:
            return Failure(row.key, "unreadable-file", str(error))
        [result] = self.labeler.label_each([data], [row.labels])
        if isinstance(result, FailedImage):
            return Failure(row.key, result.error.error_type, str(result.error))
        return self._make_row(row, data, result)

    def _make_row(self, row: PlanRow, data: bytes, result: LabeledImage) -> LabelSetRow:
        return LabelSetRow(
            key=row.key,
            image=data if self.settings.embed_images else None,
            size_wh=result.size_wh,
            labels=result.labels,
            label_scores=result.label_scores,
            top1=result.top1,
            top1_score=result.top1_score,
            boxes=result.boxes,
            no_box_reasons=result.mined.no_box_reasons,
            cams=result.cams if self.settings.store_cams else (),
            etag=row.etag,
            sha256=hashlib.sha256(data).hexdigest(),
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
