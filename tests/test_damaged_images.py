"""Damaged images fail alone: of thousands, exactly those that are damaged, each for the right reason."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from dap_core import PseudoLabeler
from dap_core.datasets import Source, read_image_objects
from dap_core.label_sets import open_label_set, verify_label_set
from dap_core.recipes import customise_recipe
from services.storage import S3Store
from tests.damaged_builders import DAMAGED, ODD
from tests.mining_builders import SMALL_RECIPE, make_toy_engine, mine_source
from tests.s3_servers import S3Server

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
NUM_KINDS = 30
FOLDERS = {"no-label": "", "unknown-label": "x7/"}
"""What fails although its bytes are good; a third such kind are images that are listed twice."""


@dataclass(frozen=True)
class Picture:
    key: str
    data: bytes
    error_type: str | None = None


def make_pictures(num_good: int, num_per_kind: int) -> Iterator[Picture]:
    """Damaged images, so many of each kind, and good ones of all kinds; each name ends in .jpg, whatever it is."""
    makers = list(ODD.items())
    for number in range(num_per_kind):
        for name, (error_type, make) in DAMAGED.items():
            yield Picture(f"x{number % 2}/{name} {number}.jpg", make(number), error_type)
        for error_type, folder in FOLDERS.items():
            yield Picture(f"{folder}{error_type} {number}.jpg", ODD["JPEG"](number), error_type)
    for number in range(num_good):
        name, make = makers[number % len(makers)]
        yield Picture(f"x{number % 2}/good {name} {number}.jpg", make(number))


def put_pictures(store: S3Store, pictures: Iterator[Picture]) -> list[Picture]:
    """Puts them into a store; what is given back has no bytes but their sha256."""

    def put(picture: Picture) -> Picture:
        store.put(picture.key, picture.data)
        return replace(picture, data=hashlib.sha256(picture.data).digest())

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(put, pictures))


def list_twice(source: Source, keys: list[str]) -> Source:
    """The source with further rows of these images, with another label."""
    again = [replace(row, labels=("x0", "x1")) for row in source.rows if row.key in keys]
    return replace(source, rows=(*source.rows, *again))


@pytest.mark.parametrize(
    ("num_rows", "num_per_kind"), [(100, 1), pytest.param(10_000, 20, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_thirty_kinds_of_damage_fail_as_they_should_and_all_else_is_labelled(
    servers: dict[str, S3Server], num_rows: int, num_per_kind: int
):
    assert len(DAMAGED) + len(FOLDERS) + 1 == NUM_KINDS
    store, labels = (servers["juicefs"].make_store(prefix) for prefix in ("pictures", "labels"))
    pictures = put_pictures(store, make_pictures(num_rows - NUM_KINDS * num_per_kind, num_per_kind))
    good = {picture.key: picture.data.hex() for picture in pictures if picture.error_type is None}
    twice = list(good)[:num_per_kind]
    expected = Counter((picture.key, picture.error_type) for picture in pictures if picture.error_type)
    expected += Counter((key, "duplicate-key") for key in twice)

    source = list_twice(read_image_objects(store), twice)
    recipe = customise_recipe(SMALL_RECIPE, short_sides=(48,))
    manifest = mine_source(PseudoLabeler(recipe=recipe, engine=make_toy_engine()), source, labels)

    found = open_label_set(labels)
    assert Counter((failure.key, failure.error_type) for failure in found.failures()) == expected
    assert {row.key: row.sha256 for row in found.rows(cams=False)} == good
    assert verify_label_set(found) == []
    counts = manifest.counts
    assert (manifest.state, counts.num_planned, counts.num_ok) == ("complete", num_rows, len(good))
    assert (counts.num_failed, len(good)) == (NUM_KINDS * num_per_kind, num_rows - NUM_KINDS * num_per_kind)
