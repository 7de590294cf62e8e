"""Plans: shards as ranks of the hashed key, settings, and differences in words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dap_core.errors import LabelSetError
from dap_core.label_sets.plan import PlannedSet, PlanRow, assign_shards, describe_differences, freeze_plan, read_plan
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


@pytest.mark.parametrize("data", [b"", b"PAR1 not parquet PAR1"])
def test_a_damaged_plan_is_refused(data: bytes) -> None:
    with pytest.raises(LabelSetError, match="plan of the label set is damaged"):
        read_plan(data)
