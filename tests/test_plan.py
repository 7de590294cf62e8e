"""Plans: shards as ranks of the hashed key, settings, and differences in words."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dap_core.errors import LabelSetError
from dap_core.label_sets.plan import PlannedSet, PlanRow, assign_shards, describe_differences, freeze_plan, read_plan
from dap_core.label_sets.plan_rows import PlanRows
from dap_core.label_sets.settings import LabelingSettings
from dap_core.recipes import PAPER, customise_recipe
from dap_core.types import ClassList


def make_settings(**changes: object) -> LabelingSettings:
    """Settings of a label set, with changes."""
    values = {
        "recipe": PAPER,
        "classes": ClassList.from_pairs([("x0", "red"), ("x1", "blue")]),
        "classifier": "toy",
        "weights_sha256": "0" * 64,
        "engine": "torch",
        "precision": "float32",
        "source": "/images",
    }
    return LabelingSettings(**(values | changes))  # type: ignore[arg-type]


def make_rows(count: int, size: int = 10) -> list[PlanRow]:
    """Rows with keys 0.jpg, 1.jpg, ..."""
    return [PlanRow(f"{index}.jpg", f"etag{index}", size, ("x0",)) for index in range(count)]


def make_mixed_rows() -> list[PlanRow]:
    """Rows with 0, 1 and 2 labels, a key that is no ASCII, and a key that is listed twice."""
    rows = [
        PlanRow(f"x{i % 3}/image {i} é.jpg", f"etag{i}", 1000 + i * 7, labels)
        for i in range(40)
        for labels in [(f"x{i % 3}",) if i % 5 else ("x0", "blue") if i % 2 else ()]
    ]
    return [*rows, PlanRow(rows[3].key, "other", 5, ("x1",))]


def test_shard_keys_stay_what_they_were():
    """A label set that is there can be resumed only while the same input gives the same keys."""
    plan, _ = freeze_plan(assign_shards(make_mixed_rows(), max_rows=9, max_bytes=9000), make_settings())
    assert [len(members) for members in plan.shards.values()] == [8, 7, 7, 8, 8, 3]
    assert plan.compute_shard_key(0) == "de9764b69cdb657b6dd4d200bdcb7659c3fb880f9b6c7c3278ec62e291f838f9"
    assert plan.compute_shard_key(5) == "f9a676c4a1d990624833c93dca16e75774e6731e25c1556a5a88e1fdf36a0f9b"


@pytest.mark.skipif(pa.__version__ != "26.0.1", reason="each version of pyarrow writes other bytes")
def test_the_object_of_a_plan_stays_what_it_was():
    rows = make_mixed_rows()
    first, _ = freeze_plan(assign_shards(rows, max_rows=9, max_bytes=9000), make_settings())
    later, _ = freeze_plan(assign_shards(rows[:5], first=6), make_settings(), segment=1, num_superseded=5)
    assert first.sha256 == "013708e1a54dcd09afe20f1e85ca6389dc95da91137e842bf591908af5a3d0e9"
    assert later.sha256 == "dc5595a9b5bca8de47cdf23e30ff71ba8564ba1a8a4b3fb53d62a70ca1846f00"


def assign_one_by_one(rows: list[PlanRow], max_rows: int, max_bytes: int) -> list[list[str]]:
    """The keys of each shard, by the rule as DESIGN.md has it; no key is listed twice."""
    shards: list[list[PlanRow]] = []
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.key.encode()).digest()):
        full = not shards or len(shards[-1]) == max_rows or sum(one.size for one in shards[-1]) + row.size > max_bytes
        if full:
            shards.append([])
        shards[-1].append(row)
    return [[row.key for row in shard] for shard in shards]


@given(sizes=st.lists(st.integers(0, 40), max_size=60), max_rows=st.integers(1, 9), max_bytes=st.integers(1, 90))
def test_shards_are_filled_one_row_after_the_other(sizes: list[int], max_rows: int, max_bytes: int) -> None:
    rows = [PlanRow(f"{index}.jpg", "", size, ()) for index, size in enumerate(sizes)]
    shards = assign_shards(rows, max_rows=max_rows, max_bytes=max_bytes)
    keys = [[row.key for row in members] for members in shards.values()]
    assert keys == assign_one_by_one(rows, max_rows, max_bytes)


def test_rows_by_column_are_read_as_any_sequence():
    rows = make_mixed_rows()
    listed = PlanRows.from_rows(rows)
    assert list(listed) == rows
    assert (listed[-1], list(listed[3:9:2])) == (rows[-1], rows[3:9:2])
    assert list(PlanRows.join([listed[:5], listed[20:]])) == [*rows[:5], *rows[20:]]
    assert sum(listed.count_labels().values()) == len(rows)
    with pytest.raises(IndexError):
        listed[len(rows)]


@given(count=st.integers(0, 60), max_rows=st.integers(1, 9), max_bytes=st.integers(10, 90))
def test_every_row_is_in_one_shard_within_the_limits(count: int, max_rows: int, max_bytes: int) -> None:
    rows = make_rows(count)
    shards = assign_shards(rows, max_rows=max_rows, max_bytes=max_bytes)
    assert sorted(row.key for members in shards.values() for row in members) == sorted(row.key for row in rows)
    assert all(1 <= len(members) <= min(max_rows, max_bytes // 10) for members in shards.values())


def test_the_order_of_the_listing_does_not_matter() -> None:
    rows = make_rows(50)
    assert assign_shards(rows, max_rows=7) == assign_shards(rows[::-1], max_rows=7)


def test_an_image_larger_than_a_shard_has_one_of_its_own() -> None:
    rows = [*make_rows(2), PlanRow("large.jpg", "e", 1000, ("x0",))]
    assert all(
        len(members) == 1 or sum(row.size for row in members) <= 25
        for members in assign_shards(rows, max_bytes=25).values()
    )


def test_rows_of_one_key_stay_together_and_in_order() -> None:
    twice = [PlanRow("0.jpg", "e", 1, ("first",)), *make_rows(20), PlanRow("0.jpg", "e", 1, ("last",))]
    [members] = [rows for rows in assign_shards(twice, max_rows=5).values() if any(row.key == "0.jpg" for row in rows)]
    assert [row.labels[0] for row in members if row.key == "0.jpg"] == ["first", "x0", "last"]


def test_a_plan_is_read_back_as_it_was() -> None:
    plan, data = freeze_plan(assign_shards(make_rows(30), max_rows=7), make_settings())
    assert read_plan(data) == plan
    assert read_plan(data).sha256 == plan.sha256


def test_settings_survive_json() -> None:
    settings = make_settings(parent="1" * 64, embed_images=False)
    assert LabelingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_the_shard_key_covers_settings_and_rows() -> None:
    rows = make_rows(3)
    plan, data = freeze_plan({0: tuple(rows)}, make_settings())
    changed = [
        freeze_plan({0: tuple(rows[:2])}, make_settings())[0],
        freeze_plan({0: tuple(rows)}, make_settings(precision="bfloat16"))[0],
        freeze_plan({0: tuple(rows)}, make_settings(weights_sha256="1" * 64))[0],
        freeze_plan({0: tuple(rows)}, make_settings(recipe=customise_recipe(PAPER, nms_iou=0.7)))[0],
    ]
    keys = {each.compute_shard_key(0) for each in (plan, *changed)}
    assert len(keys) == 5
    assert read_plan(data).compute_shard_key(0) == plan.compute_shard_key(0)


def test_differences_name_every_field_and_image() -> None:
    wanted, _ = freeze_plan(assign_shards(make_rows(3)), make_settings(classifier="lite1", source="/other"))
    found, _ = freeze_plan(assign_shards(make_rows(2, size=11)), make_settings())
    assert describe_differences(wanted, PlannedSet((found,))) == [
        "classifier is lite1, was toy",
        "source is /other, was /images",
        "1 images are new (such as 2.jpg)",
        "2 images are changed (such as 0.jpg)",
    ]
    assert describe_differences(found, PlannedSet((found,))) == []


def test_a_row_of_a_later_segment_is_the_one_that_counts():
    settings = make_settings()
    first, _ = freeze_plan(assign_shards(make_rows(6)), settings)
    again, _ = freeze_plan(assign_shards(make_rows(2, size=11), first=1), settings, segment=1, num_superseded=2)
    wanted, _ = freeze_plan(assign_shards([*make_rows(2, size=11), *make_rows(6)[2:]]), settings)
    planned = PlannedSet((first, again))
    assert (list(planned.shards), planned.shards[1]) == ([0, 1], again.shards[1])
    assert describe_differences(wanted, planned) == []
    assert describe_differences(first, planned) == ["2 images are changed (such as 0.jpg)"]
    cut, _ = freeze_plan(assign_shards(make_rows(6), max_rows=2), settings)
    assert describe_differences(cut, PlannedSet((first,))) == ["the images are listed in another way"]


@pytest.mark.parametrize("data", [b"", b"PAR1 not parquet PAR1"])
def test_a_damaged_plan_is_refused(data: bytes) -> None:
    with pytest.raises(LabelSetError, match="plan of the label set is damaged"):
        read_plan(data)
