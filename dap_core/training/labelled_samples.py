"""Images with image-level labels to train a classifier on, and which of them are held out to measure it."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dap_core.class_lists import imagenet_classes
from dap_core.datasets import Source
from dap_core.datasets.unknown_labels import find_unknown_labels
from dap_core.errors import ObjectMissingError, SourceError
from dap_core.label_sets.plan_rows import PlanRows
from dap_core.stores import Store
from dap_core.types import AUTO, ClassList

Targets = tuple[int, ...]
"""The classes of an image, ascending; with several of them each is as right as the others."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """An encoded image and its classes; without `data`, `problem` says why it cannot be read."""

    key: str
    targets: Targets
    data: bytes | None = field(repr=False)
    problem: str = ""


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Images of a store, each with one class or more."""

    store: Store
    rows: PlanRows
    targets_by_code: tuple[Targets, ...]
    """The classes that a label code of `rows` stands for."""
    classes: ClassList

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def identity(self) -> str:
        """The sha256 of keys, etags and classes of all images, and of the class list."""
        digest = hashlib.sha256(json.dumps([[one.wnid, one.name] for one in self.classes.classes]).encode())
        for row, targets in zip(self.rows, self.targets, strict=True):
            digest.update(json.dumps([row.key, row.etag, targets]).encode())
        return digest.hexdigest()

    @property
    def groups(self) -> tuple[int, ...]:
        """One group of all."""
        return (len(self),)

    @property
    def targets(self) -> list[Targets]:
        """The classes of each image."""
        return [self.targets_by_code[code] for code in self.rows.label_codes.tolist()]

    def read(self, positions: Sequence[int]) -> list[LabelledImage]:
        """These images, in that order; several at once where the store takes time to answer.

        Raises StoreError, but for an image that is not there.
        """
        if self.store.num_parallel_reads < 2:
            return list(map(self.read_one, positions))
        with ThreadPoolExecutor(self.store.num_parallel_reads, "dap-fetch") as readers:
            return list(readers.map(self.read_one, positions))

    def read_one(self, position: int) -> LabelledImage:
        """One image. Raises StoreError, but for an image that is not there."""
        row, targets = self.rows[position], self.targets_by_code[self.rows.label_codes[position]]
        try:
            return LabelledImage(row.key, targets, self.store.get(row.key, etag=row.etag))
        except ObjectMissingError as error:
            return LabelledImage(row.key, targets, None, str(error))

    def take(self, positions: NDArray[np.int64]) -> LabelledSamples:
        """The images at these positions."""
        return LabelledSamples(self.store, self.rows.take(positions), self.targets_by_code, self.classes)


def collect_samples(source: Source, classes: ClassList | None = None) -> tuple[LabelledSamples, tuple[str, ...]]:
    """The images of a source that have classes, and what is odd about the others, one sentence each.

    Without a class list every label is a class, in the order of their names; a wnid of ImageNet-1k has its name.
    Images without a label are left out, as are up to 5% of them with labels that are not in a class list that is given.
    Raises SourceError when there are more of those, when less than two classes have images, and for the label auto.
    """
    rows = PlanRows.from_rows(source.rows)
    known = classes or _name_labels(rows)
    warnings = []
    if (unknown := find_unknown_labels(rows, known)).num_images:
        if unknown.are_too_many:
            raise SourceError(f"{unknown.describe_count()}: {', '.join(map(str, unknown.first))}; check the class list")
        warnings.append(f"{unknown.describe_count()}; they are left out")
    targets_by_code = tuple(_find_targets(labels, known) for labels in rows.label_tuples)
    has_class = np.array([bool(targets) for targets in targets_by_code], np.bool_)[rows.label_codes]
    if num_without := sum(number for labels, number in rows.count_labels().items() if not labels):
        warnings.append(f"{num_without:,} images have no label; they are left out")
    samples = LabelledSamples(source.store, rows.take(np.flatnonzero(has_class)), targets_by_code, known)
    seen = {target for targets in samples.targets for target in targets}
    if len(seen) < 2:
        raise SourceError(f"a classifier needs images of two classes or more, got {len(seen)} in {source.store.uri}")
    if len(seen) < len(known):
        missing = [known[index].name for index in range(len(known)) if index not in seen]
        warnings.append(f"{len(missing):,} of {len(known):,} classes have no image, such as {missing[0]!r}")
    return samples, tuple(warnings)


def hold_out(samples: LabelledSamples, share: float) -> tuple[LabelledSamples, LabelledSamples]:
    """The images to train on, and those held out: a share in [0, 1) of each class, rounded up, but never all of it.

    Which ones follows from the keys alone, so it is the same for every seed. Of an image of several classes the first
    counts. Raises ValueError for another share.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share held out is 0 to below 1, got {share}")
    hashes = samples.rows.hash_keys()
    by_class: dict[int, list[int]] = defaultdict(list)
    for position, targets in enumerate(samples.targets):
        by_class[targets[0]].append(position)
    held: list[int] = []
    for positions in by_class.values():
        ranked = sorted(positions, key=lambda position: hashes[position])
        held += ranked[: min(len(ranked) - 1, math.ceil(share * len(ranked)))]
    is_held = np.zeros(len(samples), np.bool_)
    is_held[held] = True
    return samples.take(np.flatnonzero(~is_held)), samples.take(np.flatnonzero(is_held))


def flatten_targets(targets: Sequence[Targets]) -> tuple[Tensor, Tensor, Tensor]:
    """For each class of each image: number of the image and class, int64 [n], and share of the target, float32 [n]."""
    owners = [owner for owner, classes in enumerate(targets) for _ in classes]
    classes = [one for several in targets for one in several]
    shares = [1 / len(several) for several in targets for _ in several]
    return torch.tensor(owners), torch.tensor(classes), torch.tensor(shares)


def _name_labels(rows: PlanRows) -> ClassList:
    labels = sorted({label for labels in rows.count_labels() for label in labels})
    if AUTO in labels:
        raise SourceError("a classifier cannot be trained on the label auto, which is what a classifier says")
    names = {item.wnid: item.name for item in imagenet_classes().classes}
    return ClassList.from_pairs((label, names.get(label, label)) for label in labels)


def _find_targets(labels: tuple[str, ...], classes: ClassList) -> Targets:
    """The classes of an image; none when one of its labels is not known."""
    if not all(map(classes.knows, labels)):
        return ()
    return tuple(sorted({classes.index_of(label) for label in labels}))
