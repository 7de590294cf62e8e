"""Several sources trained on as one, such as drawn boxes and those that a detector found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dap_core.errors import SourceError
from dap_core.training.samples import Sample, SampleSource
from dap_core.types import ClassList


@dataclass(frozen=True)
class JoinedSamples:
    """The samples of all sources, with the classes of the first.

    Raises SourceError when another source has a class that the first does not have.
    """

    sources: tuple[SampleSource, ...]

    @cached_property
    def identity(self) -> str:
        """The sha256 of the identities of the sources."""
        return hashlib.sha256("\n".join(source.identity for source in self.sources).encode()).hexdigest()

    @property
    def classes(self) -> ClassList:
        """The classes of the first source."""
        return self.sources[0].classes

    @property
    def groups(self) -> tuple[int, ...]:
        """The groups of all sources, one source after the other."""
        return tuple(size for source in self.sources for size in source.groups)

    def read(self, group: int, rows: Sequence[int]) -> list[Sample]:
        """These samples of a group, with the labels of the first source."""
        for source, labels in zip(self.sources, self._labels, strict=True):
            if group < len(source.groups):
                return [replace(sample, labels=labels[sample.labels]) for sample in source.read(group, rows)]
            group -= len(source.groups)
        raise IndexError(group)

    @cached_property
    def _labels(self) -> list[NDArray[np.int64]]:
        """For each source the label in the first one of each of its labels."""
        numbers = {item.wnid: number for number, item in enumerate(self.classes.classes)}
        for source in self.sources:
            odd = next((item.wnid for item in source.classes.classes if item.wnid not in numbers), None)
            if odd is not None:
                raise SourceError(f"there are boxes of class {odd!r}; the classes are {', '.join(numbers)}")
        return [np.array([numbers[item.wnid] for item in source.classes.classes], np.int64) for source in self.sources]
