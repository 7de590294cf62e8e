"""Attempts at shards, the same in this process and in a labeler on Ray.

An attempt leaves a mark first. Where one of a dead process is found, or labelling fails unexpectedly, the shard is
labelled one image at a time in a child process, so that an image that breaks it becomes a failure of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dap_core.errors import DapError, StoreUnavailableError
from dap_core.label_sets.labeling import LabelsStreams, OnImage, ShardLabeler
from dap_core.label_sets.runner import FailedShard, ShardTask
from dap_core.label_sets.settings import LabelingSettings
from dap_core.label_sets.shards import ShardEntry
from dap_core.stores import Store
from services.jobs.isolation import IsolatedLabeler, MakeLabeler
from services.jobs.shard_marks import ShardMarks

MAX_DEATHS = 10
"""After so many dead attempts a shard is given up."""
BeginTry = Callable[[], OnImage]
"""Called when the images of a shard are begun, or begun again; what it gives hears of each of them."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardWorker:
    """Labels shards of one label set.

    `make` makes a labeler in child processes, and here when one is needed and no `labeler` was given.
    """

    make: MakeLabeler
    source: Store
    destination: Store
    settings: LabelingSettings
    labeler: LabelsStreams | None = None

    def label_shard(self, task: ShardTask, begin_try: BeginTry) -> ShardEntry | FailedShard:
        """Labels and commits one shard, or says why it cannot be made.

        Raises the errors of the project that end a run: StoreRefusedError, StoreUnavailableError, InputError.
        """
        marks = ShardMarks(self.destination, task[1])
        try:
            result = self._label_marked(task, begin_try, marks.num_earlier)
        except StoreUnavailableError:  # nor could the mark be taken away
            raise
        except BaseException:
            marks.remove_own()
            raise
        marks.remove_all()
        return result

    def _label_marked(self, task: ShardTask, begin_try: BeginTry, num_deaths: int) -> ShardEntry | FailedShard:
        shard = task[1].shard
        if num_deaths >= MAX_DEATHS:
            return FailedShard(shard, f"{num_deaths} processes died on it, such as when memory runs out")
        if not num_deaths:
            result = self._try(lambda: self._labeler, task, begin_try())
            if isinstance(result, ShardEntry):
                return result
        result = self._try(lambda: self._isolated, task, begin_try())
        if isinstance(result, ShardEntry):
            return result
        return FailedShard(shard, f"{type(result).__name__}: {result}")

    def _try(self, take_labeler: MakeLabeler, task: ShardTask, on_image: OnImage) -> ShardEntry | Exception:
        """Labels and commits; an error that nobody expected is given back and logged."""
        try:
            label = ShardLabeler(take_labeler(), self.source, self.destination, self.settings, on_image)
            return label(*task)
        except DapError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other shards go on
            _LOG.warning("shard %d failed unexpectedly", task[1].shard, exc_info=True)
            return error

    @cached_property
    def _labeler(self) -> LabelsStreams:
        return self.labeler or self.make()

    @cached_property
    def _isolated(self) -> LabelsStreams:
        return IsolatedLabeler(self.make)
