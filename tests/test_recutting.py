"""Re-cutting: the same boxes bit for bit as mining with that recipe, without a network."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dap_core.errors import InputError
from dap_core.label_sets import LabelSet, open_label_set, verify_label_set
from dap_core.label_sets.recutting import ShardRecutter, plan_recut
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.passes import CamConfig
from dap_core.recipes import Recipe, customise_recipe
from dap_core.stores import LocalStore
from tests.mining_builders import SMALL_RECIPE, make_labeler, make_mined_set, mine_folder


def recut(parent: LabelSet, destination: Path, recipe: Recipe) -> LabelSet:
    """Cuts a label set again into another folder."""
    store = LocalStore(destination)
    plan = start_label_set(store, *plan_recut(parent, recipe))
    run_plan(store, plan, ShardRecutter(parent, store, recipe))
    return open_label_set(store)


def read_shards(label_set: LabelSet) -> list[bytes]:
    """The rows of all shards, as Arrow sees them."""
    return [batch.serialize().to_pybytes() for entry in label_set.shards for batch in label_set.read_batches(entry)]


@pytest.mark.parametrize(
    "recipe",
    [
        SMALL_RECIPE,
        customise_recipe(SMALL_RECIPE, thresholds=(0.35,), nms_iou=0.5),
        customise_recipe(SMALL_RECIPE, short_sides=(96,), nms_iou=1.0),
    ],
    ids=["same", "other thresholds", "one of the scales"],
)
def test_recutting_equals_mining_with_that_recipe(tmp_path: Path, recipe: Recipe) -> None:
    parent = make_mined_set(tmp_path)
    labeler = make_labeler()
    labeler.recipe = recipe
    mine_folder(labeler, tmp_path / "images", LocalStore(tmp_path / "mined"))
    mined, cut = open_label_set(tmp_path / "mined"), recut(parent, tmp_path / "cut", recipe)
    for ours, theirs in zip(cut.rows(), mined.rows(), strict=True):
        assert ours.key == theirs.key
        for name in ("boxes", "labels", "scores", "thresholds"):
            assert np.array_equal(getattr(ours.boxes, name), getattr(theirs.boxes, name))
        assert ours.no_box_reasons == theirs.no_box_reasons


def test_recutting_with_the_same_recipe_changes_no_byte_of_any_row(tmp_path: Path) -> None:
    parent = make_mined_set(tmp_path)
    assert read_shards(recut(parent, tmp_path / "cut", SMALL_RECIPE)) == read_shards(parent)


def test_a_recut_set_is_sound_and_names_its_parent(tmp_path: Path) -> None:
    parent = make_mined_set(tmp_path)
    cut = recut(parent, tmp_path / "cut", customise_recipe(SMALL_RECIPE, nms_iou=0.3))
    assert cut.manifest.settings.parent == parent.sha256
    assert cut.manifest.settings.recipe.name == "small*"
    assert verify_label_set(cut) == []


def test_images_can_be_left_where_they_were_mined_from(tmp_path: Path) -> None:
    parent = make_mined_set(tmp_path, num_images=2)
    store = LocalStore(tmp_path / "cut")
    plan = start_label_set(store, *plan_recut(parent, SMALL_RECIPE, keep_images=False))
    run_plan(store, plan, ShardRecutter(parent, store, SMALL_RECIPE, keep_images=False))
    cut = open_label_set(store)
    assert verify_label_set(cut) == []
    for row, kept in zip(cut.rows(images=True), parent.rows(images=True), strict=True):
        assert row.image is None
        assert cut.read_image(row) == kept.image


def test_failures_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / "images" / "x0").mkdir(parents=True)
    (tmp_path / "images" / "x0" / "empty.jpg").write_bytes(b"")
    parent = make_mined_set(tmp_path, num_images=2)
    cut = recut(parent, tmp_path / "cut", SMALL_RECIPE)
    assert list(cut.failures()) == list(parent.failures())
    assert [failure.key for failure in cut.failures()] == ["x0/empty.jpg"]


def test_passes_that_were_not_run_are_refused(tmp_path: Path) -> None:
    parent = make_mined_set(tmp_path, num_images=1)
    recipe = replace(SMALL_RECIPE, cam=CamConfig(short_sides=(64, 128)))
    with pytest.raises(InputError, match=r"needs the passes 64/128 mirrored, .* holds 64/96 mirrored"):
        plan_recut(parent, recipe)


def test_a_set_without_maps_is_refused(tmp_path: Path) -> None:
    parent = make_mined_set(tmp_path, num_images=1, store_cams=False)
    with pytest.raises(InputError, match="without storing maps"):
        plan_recut(parent, SMALL_RECIPE)


def test_recutting_needs_no_torch() -> None:
    code = "import sys, dap_core.label_sets.recutting, dap_core.label_sets.runner; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
