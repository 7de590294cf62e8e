"""The label sets of jobs as people see them: of each a sample, and what is odd about its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dap_core.errors import LabelSetError, LabelSetMissingError
from dap_core.evaluation.statistics import LabelSetStatistics, summarise_rows
from dap_core.evaluation.triage import Suspicion, judge_row
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.label_sets.sampling import SampledRow, read_cams, read_sample
from services.jobs.made_once import MadeOnce
from services.jobs.refusals import OutputMissingError
from services.jobs.specs import JobSpec
from services.places import open_label_set_at

_OUTPUTS = {"mine": "out", "predict": "out", "recut": "out", "self-train": "labels"}
"""By kind of job the field that says where its label set goes."""
_MOST_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows of a sample in numbers, and what is odd about each."""

    statistics: LabelSetStatistics
    suspicions: tuple[Suspicion, ...]


@dataclass(frozen=True, slots=True)
class SampleView:
    """A label set by now, and its sample; the number of an image is its place in `rows`."""

    label_set: LabelSet
    rows: tuple[SampledRow, ...]
    judged: Judged

    def choose(self, *, label: int | None, only_without_box: bool, worst_first: bool) -> list[int]:
        """The numbers of the images with a label, or of all; with `only_without_box` those with no box (of it)."""
        chosen = [
            number
            for number, one in enumerate(self.rows)
            if (label is None or _has_label(one.row, label)) and not (only_without_box and _has_box(one.row, label))
        ]
        return sorted(chosen, key=lambda number: -self.judged.suspicions[number].badness) if worst_first else chosen


class SampleViews:
    """Samples of the label sets of jobs, of which the latest are kept. Blocks, safe in threads.

    All raise OutputMissingError where a job has no label set or a damaged one, StoreError.
    """

    def __init__(self) -> None:
        self._rows: MadeOnce[tuple[str, str], tuple[SampledRow, ...]] = MadeOnce(_MOST_SAMPLES)
        self._judged: MadeOnce[tuple[str, str], Judged] = MadeOnce(_MOST_SAMPLES)

    def look(self, spec: JobSpec) -> SampleView:
        """The label set of a job with its sample, judged."""
        label_set = open_label_set_of(spec)
        rows = self.read_rows(label_set)
        with refuse_damage():
            judged = self._judged.get(_identify(label_set), lambda: _judge(label_set))
        return SampleView(label_set, rows, judged)

    def read_rows(self, label_set: LabelSet) -> tuple[SampledRow, ...]:
        """The sample of a label set."""
        with refuse_damage():
            return self._rows.get(_identify(label_set), lambda: read_sample(label_set))


def find_label_set_place(spec: JobSpec) -> str | None:
    """Where a job writes its label set, None when it makes none."""
    name = _OUTPUTS.get(spec.kind)
    return None if name is None else str(getattr(spec, name))


def open_label_set_of(spec: JobSpec) -> LabelSet:
    """The label set of a job, which may be partial. Raises OutputMissingError, StoreError."""
    place = find_label_set_place(spec)
    if place is None:
        raise OutputMissingError(f"a job of kind {spec.kind} makes no label set")
    with refuse_damage():
        return open_label_set_at(place, allow_partial=True)


def choose_row(rows: tuple[SampledRow, ...], number: int) -> SampledRow:
    """The row of a sample with that number. Raises OutputMissingError."""
    if number >= len(rows):
        raise OutputMissingError(f"there is no image {number} in the sample, which has {len(rows)} images")
    return rows[number]


def add_cams(label_set: LabelSet, sampled: Sequence[SampledRow]) -> list[LabelSetRow]:
    """The rows with their maps, which each row group is read for once. Raises OutputMissingError, StoreError."""
    with refuse_damage():
        maps = {group: read_cams(label_set.store, group) for group in {one.group for one in sampled}}
    return [replace(one.row, cams=maps[one.group][one.index]) for one in sampled]


@contextmanager
def refuse_damage() -> Iterator[None]:
    """Inside, a label set that is not there yet, or is damaged, is OutputMissingError."""
    try:
        yield
    except LabelSetMissingError as error:
        raise OutputMissingError(f"the job has made no label set yet: {error}") from error
    except LabelSetError as error:
        raise OutputMissingError(f"the label set cannot be read; dap verify looks closer: {error}") from error


def _identify(label_set: LabelSet) -> tuple[str, str]:
    return label_set.store.uri, label_set.sha256


def _judge(label_set: LabelSet) -> Judged:
    settings = label_set.manifest.settings
    rows = [one.row for one in read_sample(label_set, cams=True)]
    return Judged(
        summarise_rows(rows, label_set.manifest.counts.num_failed),
        tuple(judge_row(row, settings.classes, settings.recipe) for row in rows),
    )


def _has_label(row: LabelSetRow, label: int) -> bool:
    return label in row.labels or bool((row.boxes.labels == label).any())


def _has_box(row: LabelSetRow, label: int | None) -> bool:
    return bool(len(row.boxes) if label is None else (row.boxes.labels == label).any())
