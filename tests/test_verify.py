"""`verify_label_set` finds every kind of damage and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dap_core.errors import LabelSetError
from dap_core.label_sets import LabelSet, open_label_set, verify_label_set
from dap_core.label_sets.shards import rows_to_batches
from tests.mining_builders import make_mined_set

Damage = Callable[[LabelSet], None]


def path_of(label_set: LabelSet, index: int = 0) -> Path:
    """The file of one shard."""
    return Path(label_set.store.uri) / label_set.shards[index].data


def flip_a_byte(label_set: LabelSet) -> None:
    data = bytearray(path_of(label_set).read_bytes())
    data[len(data) // 2] ^= 1
    path_of(label_set).write_bytes(data)


def truncate(label_set: LabelSet) -> None:
    path_of(label_set).write_bytes(path_of(label_set).read_bytes()[:-20])


def delete(label_set: LabelSet) -> None:
    path_of(label_set).unlink()


def swap_two_shards(label_set: LabelSet) -> None:
    first, second = path_of(label_set, 0), path_of(label_set, 1)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def lose_the_plan(label_set: LabelSet) -> None:
    next((Path(label_set.store.uri) / "plans").iterdir()).unlink()


def damage_the_plan(label_set: LabelSet) -> None:
    path = next((Path(label_set.store.uri) / "plans").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_sound_set_has_no_problems(tmp_path: Path) -> None:
    assert verify_label_set(make_mined_set(tmp_path)) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "is damaged: its sha256 is"),
        (truncate, "is damaged: its sha256 is"),
        (delete, "No such file"),
        (swap_two_shards, "is damaged: its sha256 is"),
        (lose_the_plan, "No such file"),
        (damage_the_plan, "plans/"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_damaged_objects_are_found(tmp_path: Path, damage: Damage, message: str) -> None:
    label_set = make_mined_set(tmp_path)
    damage(label_set)
    problems = verify_label_set(label_set)
    assert problems
    assert any(message in problem for problem in problems)


def edit_manifest(label_set: LabelSet, change: Callable[[list[dict[str, object]]], None]) -> LabelSet:
    """The set with the shard entries of its manifest changed."""
    path = Path(label_set.store.uri) / "manifest.json"
    values = json.loads(path.read_text())
    change(values["segments"][0]["shards"])
    path.write_text(json.dumps(values))
    return open_label_set(label_set.store, allow_partial=True)


def test_a_shard_named_twice_is_found(tmp_path: Path) -> None:
    changed = edit_manifest(make_mined_set(tmp_path), lambda shards: shards.append(dict(shards[0])))
    assert any("named 2 times" in problem for problem in verify_label_set(changed))


def test_counts_that_do_not_agree_are_found(tmp_path: Path) -> None:
    changed = edit_manifest(make_mined_set(tmp_path), lambda shards: shards[0].update(num_boxes=99))
    assert any("its footer says otherwise" in problem for problem in verify_label_set(changed))


def test_a_shard_of_another_plan_is_found(tmp_path: Path) -> None:
    changed = edit_manifest(make_mined_set(tmp_path), lambda shards: shards[0].update(shard_key="0" * 64))
    assert any("another input or with other settings" in problem for problem in verify_label_set(changed))


def test_the_shard_of_other_rows_under_this_number_is_found(tmp_path: Path) -> None:
    label_set = make_mined_set(tmp_path)
    entries = label_set.shards
    changed = edit_manifest(label_set, lambda shards: shards[0].update(data=entries[1].data))
    problems = verify_label_set(changed)
    assert any("is lost" in problem for problem in problems)
    assert any("is there too often" in problem for problem in problems)


def test_partial_sets_are_opened_only_on_request(tmp_path: Path) -> None:
    label_set = edit_manifest(make_mined_set(tmp_path), lambda shards: shards.pop())
    assert label_set.manifest.state == "partial"
    assert verify_label_set(label_set) == []
    with pytest.raises(LabelSetError, match="partial"):
        open_label_set(label_set.store)


def test_rows_are_written_in_small_groups(tmp_path: Path) -> None:
    rows = list(make_mined_set(tmp_path, num_images=2).rows())
    assert [batch.num_rows for batch in rows_to_batches(rows * 40)] == [50, 30]
