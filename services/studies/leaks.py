"""Which images of a test or validation part also occur where detectors are trained, or where the steps are chosen.

They are found by perceptual hash (`dap_core.datasets.near_duplicates`), and left out for every arm alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dap_core.datasets.near_duplicates import find_near_duplicates, fingerprint_images
from dap_core.errors import ObjectMissingError
from dap_core.images.fingerprints import Fingerprint
from dap_core.label_sets import LabelSet
from dap_core.stores import Store
from services.annotated_data import open_annotated
from services.jobs.specs import DataFields
from services.places import open_label_set_at
from services.storage import open_store
from services.studies.steps import ROOT
from services.studies.study import Downstream

Prints = Mapping[str, Fingerprint]


@dataclass(frozen=True, slots=True)
class Leak:
    """An image that is not measured on, and the image elsewhere that it looks like."""

    data: str
    part: str
    key: str
    seen_in: str
    seen_key: str
    distance: int
    """Bits of 255 that differ."""


@dataclass(frozen=True, slots=True)
class LeakReport:
    """All that was found, and how many images were compared."""

    leaks: tuple[Leak, ...]
    num_compared: dict[str, int]
    num_unreadable: int

    def list_keys(self, data: str, part: str) -> list[str]:
        """The images of a part that are left out."""
        return sorted({leak.key for leak in self.leaks if (leak.data, leak.part) == (data, part)})


class LeakFinder:
    """Compares images, each read and hashed once."""

    def __init__(self) -> None:
        self._prints: dict[str, Prints] = {}
        self.num_unreadable = 0

    def find(self, label_sets: list[str], drawn: list[DataFields], downstream: tuple[Downstream, ...]) -> LeakReport:
        """Holds the parts of each data set against pre-training images and against each other.

        An image of the test part is a leak where it occurs in pre-training, validation or training; one of the
        validation part where it occurs in training. Raises what reading the data raises.
        """
        sources = [*map(self._read_labels, label_sets), *map(self._read_drawn, drawn)]
        before = {f"pre-training{f' {number}' if number > 1 else ''}": one for number, one in enumerate(sources, 1)}
        leaks: list[Leak] = []
        compared = {name: len(prints) for name, prints in before.items()}
        for data in downstream:
            train, validation, test = (self._read_drawn(one) for one in (data.train, data.validation, data.test))
            compared[f"{data.name}, test"] = len(test)
            for seen_in, prints in {**before, "validation": validation, "training": train}.items():
                leaks += _compare(data.name, "test", test, seen_in, prints)
            leaks += _compare(data.name, "validation", validation, "training", train)
        return LeakReport(tuple(leaks), compared, self.num_unreadable)

    def _read_labels(self, place: str) -> Prints:
        if place not in self._prints:
            self._prints[place] = self._hash(_list_images(open_label_set_at(place)))
        return self._prints[place]

    def _read_drawn(self, fields: DataFields) -> Prints:
        name = fields.model_dump_json()
        if name not in self._prints:
            data = open_annotated(fields)
            self._prints[name] = self._hash(
                (image.key, _read(data.store, image.key)) for image in data.annotations.images
            )
        return self._prints[name]

    def _hash(self, images: Iterator[tuple[str, bytes]]) -> Prints:
        found = fingerprint_images(images)
        self.num_unreadable += len(found.failures)
        return found.fingerprints


def write_leave_out(root: str, report: LeakReport, downstream: tuple[Downstream, ...]) -> dict[str, str]:
    """Lists of the images that are left out, named by their content: the file of each `data/part` that has any."""
    store, files = open_store(root), {}
    for data in downstream:
        for part in ("test", "validation"):
            if keys := report.list_keys(data.name, part):
                text = "".join(f"{key}\n" for key in keys).encode("utf-8", "surrogateescape")
                name = f"leave-out/{hashlib.sha256(text).hexdigest()[:16]}.txt"
                store.put(name, text)
                files[f"{data.name}/{part}"] = f"{ROOT}/{name}"
    return files


def load_or_find(
    root: str, label_sets: list[str], drawn: list[DataFields], parts: tuple[Downstream, ...]
) -> LeakReport:
    """What `LeakFinder.find` finds, from the place where it was kept when the same was asked before."""
    asked = [
        [open_label_set_at(place).sha256 for place in label_sets],
        [_identify(one) for one in drawn],
        [[data.name, *map(_identify, (data.train, data.validation, data.test))] for data in parts],
    ]
    store, key = open_store(root), f"leaks/{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]}.json"
    try:
        values = json.loads(store.get(key))
        return LeakReport(tuple(Leak(*one) for one in values["leaks"]), values["compared"], values["unreadable"])
    except ObjectMissingError:
        report = LeakFinder().find(label_sets, drawn, parts)
    rows = [[leak.data, leak.part, leak.key, leak.seen_in, leak.seen_key, leak.distance] for leak in report.leaks]
    values = {"leaks": rows, "compared": report.num_compared, "unreadable": report.num_unreadable}
    store.put(key, json.dumps(values, indent=1).encode())
    return report


def _identify(fields: DataFields) -> list[str]:
    return [fields.model_dump_json(), open_annotated(fields).identity]


def _compare(data: str, part: str, prints: Prints, seen_in: str, others: Prints) -> list[Leak]:
    return [
        Leak(data, part, pair.first_key, seen_in, pair.second_key, pair.distance)
        for pair in find_near_duplicates(prints, others)
    ]


def _list_images(labels: LabelSet) -> Iterator[tuple[str, bytes]]:
    for row in labels.rows(images=True, cams=False):
        yield row.key, labels.read_image(row)


def _read(store: Store, key: str) -> bytes:
    """The bytes of an image; none of one that is not there, which then counts as one that cannot be decoded."""
    try:
        return store.get(key)
    except (ObjectMissingError, ValueError):
        return b""
