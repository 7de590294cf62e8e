"""Recipes of detectors: the values of the paper, changes as a person types them, what is trained on how much."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.cli.training_options import parse_changes
from dap_core.errors import InputError
from dap_core.training.estimates import estimate_time
from dap_core.training.recipe_changes import (
    change_recipe,
    format_value,
    list_changeable,
    parse_values,
)
from dap_core.training.recipe_page import render_page
from dap_core.training.recipes import ENTRIES, RECIPES, get_entry, get_train_recipe
from dap_core.training.regimes import choose_regime, resolve_regime
from dap_core.training.train_recipe import DetectorRecipe, TrainRecipe
from tests.test_cli_mine import run

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_every_value_has_a_source_and_the_type_that_its_text_is_read_as(entry):
    values = entry.recipe.to_dict()
    assert set(entry.citations) == set(list_changeable(DetectorRecipe)) == set(values) - {"name", "source"}
    kinds = ("text, section ", "text, table ", "script: ", "convention: ", "ours: ")
    assert all(citation.startswith(kinds) for citation in entry.citations.values())
    texts = {key: text for key, text, _ in entry.list_values()}
    read = parse_values(DetectorRecipe, texts)
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in read.items()} == {
        key: values[key] for key in texts
    }
    assert {key: type(value) for key, value in read.items() if not isinstance(value, tuple)} == {
        key: type(values[key]) for key, value in read.items() if not isinstance(value, tuple)
    }
    assert all(milestone < entry.recipe.num_steps for milestone in entry.recipe.milestones)
    assert (entry.name.startswith(f"{entry.step}-"), entry.name == entry.recipe.name) == (True, True)
    assert entry.backbone in ("resnet50", "resnet101", "lite0")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pretrain-in1m-r50", (32, 40_038, 0.004, (), 1e-4)),
        ("pretrain-in14m-r101", (32, 443_658, 0.004, (), 1e-5)),
        ("pretrain-in1m-retinanet-r50", (32, 80_072, 0.005, (), 1e-4)),
        ("finetune-voc07", (16, 4_500, 0.01, (3_214,), 1e-4)),
        ("finetune-voc0712", (16, 14_482, 0.01, (10_344,), 1e-4)),
        ("finetune-coco-1x", (16, 90_000, 0.02, (60_000, 80_000), 1e-4)),
        ("finetune-coco-1x-retinanet", (16, 90_000, 0.01, (60_000, 80_000), 1e-4)),
        ("self-train-voc0712", (16, 2_069, 0.001, (), 1e-4)),
    ],
)
def test_the_values_are_those_of_the_paper(name, expected):
    recipe = get_train_recipe(name)
    assert (recipe.batch_size, recipe.num_steps, recipe.lr, recipe.milestones, recipe.weight_decay) == expected


def test_variants_differ_in_what_their_experiment_changes():
    base = RECIPES["pretrain-in1m-r50"]
    named = {"name": "pretrain-in1m-r50-frozen", "source": "paper: table 3"}
    assert RECIPES["pretrain-in1m-r50-frozen"] == replace(base, **named, trainable="heads")
    assert (base.trainable, base.class_agnostic, base.augment.short_sides) == ("all", False, (96, 160, 320, 640))
    assert RECIPES["finetune-coco-3x"].milestones == (210_000, 250_000)
    assert RECIPES["pretrain-in200det-r50"].num_steps == 52_031


def test_few_shots_train_for_the_square_root_of_their_share():
    steps = [RECIPES[f"finetune-voc-{shots}shot"].num_steps for shots in (5, 20, 100)]
    assert steps == [1130, 2250, 5030]
    assert steps[1] / steps[0] == pytest.approx(2, abs=0.01)
    longer = RECIPES["finetune-coco-5shot-3x"]
    assert (longer.num_steps, longer.milestones) == (15_720, (10_470, 13_980))


def test_an_unknown_recipe_is_refused_with_those_that_come_close():
    with pytest.raises(InputError, match=r"no training recipe 'finetune-voc7'; perhaps finetune-voc07, "):
        get_entry("finetune-voc7")


def test_changes_are_read_by_the_types_of_the_recipe():
    assert parse_values(
        DetectorRecipe,
        parse_changes(
            [
                "num_steps=300",
                "lr = 1e-3",
                "milestones=",
                "max_gradient_norm=none",
                "class_agnostic=auto",
                "full_size=False",
                "trainable=heads",
                "augment.short_sides=96, 128",
                "augment.mirror=false",
            ]
        ),
    ) == {
        "num_steps": 300,
        "lr": 0.001,
        "milestones": (),
        "max_gradient_norm": None,
        "class_agnostic": "auto",
        "full_size": False,
        "trainable": "heads",
        "augment.short_sides": (96, 128),
        "augment.mirror": False,
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_step=3", r"no value 'num_step' to change, perhaps num_steps; there are batch_size, num_steps, lr, "),
        ("short_sides=96", r"no value 'short_sides' to change, perhaps augment.short_sides; there are "),
        ("qqqq=1", r"no value 'qqqq' to change; there are "),
        ("name=mine", r"no value 'name' to change"),
        ("augment=1", r"no value 'augment' to change, perhaps augment\."),
        ("num_steps=3.5", r"num_steps is a whole number, got '3.5'"),
        ("lr=fast", r"lr is a number, got 'fast'"),
        ("lr=inf", r"lr is a number, got 'inf'"),
        ("trainable=most", r"trainable is auto or heads or upper or all, got 'most'"),
        ("full_size=1", r"full_size is true or false, got '1'"),
        ("class_agnostic=maybe", r"class_agnostic is true or false or auto, got 'maybe'"),
        ("max_gradient_norm=no", r"max_gradient_norm is a number or none, got 'no'"),
        ("milestones=1,x", r"milestones is a whole number, or several separated by commas, got '1,x'"),
    ],
)
def test_a_change_that_cannot_be_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        parse_values(DetectorRecipe, parse_changes([setting]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["lr=1", "lr=2"], "--set gives lr twice, 1 and 2; give it once"),
        (["num_steps"], "--set takes KEY=VALUE, such as num_steps=300, got 'num_steps'"),
    ],
)
def test_changes_given_twice_or_in_another_form_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        parse_changes(settings)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("num_steps", "0"),
        ("batch_size", "-1"),
        ("lr", "0"),
        ("momentum", "1"),
        ("weight_decay", "-1"),
        ("max_gradient_norm", "0"),
        ("milestones", "0"),
        ("accumulation", "3"),
        ("frozen_stages", "-1"),
        ("augment.short_sides", ""),
        ("augment.short_sides", "96,0"),
    ],
)
def test_values_out_of_range_are_refused(name, text):
    with pytest.raises(ValueError, match=name if name != "accumulation" else "3 equal parts"):
        change_recipe(get_train_recipe("finetune-laptop"), {name: text})


def test_a_changed_recipe_has_a_star_and_keeps_the_rest():
    recipe = get_train_recipe("finetune-laptop")
    assert change_recipe(recipe, {}) is recipe
    changed = change_recipe(recipe, {"augment.short_sides": "96,128", "lr": "0.02"})
    assert changed == replace(
        recipe, name="finetune-laptop*", lr=0.02, augment=replace(recipe.augment, short_sides=(96, 128))
    )
    assert change_recipe(changed, {"lr": "0.01"}).name == "finetune-laptop*"


def test_milestones_and_warmup_move_with_the_number_of_steps():
    recipe = get_train_recipe("finetune-voc0712")
    assert [recipe.compute_lr(step) for step in (0, 499, 10_343, 10_344)] == pytest.approx([2e-5, 0.01, 0.01, 0.001])
    short = change_recipe(recipe, {"num_steps": "1448"})
    assert (short.name, short.milestones, short.warmup_steps) == ("finetune-voc0712*", (1034,), 50)
    assert change_recipe(recipe, {"num_steps": "28964"}).warmup_steps == 500
    own = change_recipe(recipe, {"num_steps": "1448", "milestones": "", "warmup_steps": "7"})
    assert (own.milestones, own.warmup_steps) == ((), 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRecipe(TrainRecipe):
    crop: int | None = None


def test_recipes_of_other_kinds_are_changed_alike():
    recipe = OtherRecipe(name="a", source="test", batch_size=1, num_steps=10, lr=1.0)
    changed = change_recipe(recipe, {"crop": "32", "num_steps": "5"})
    assert isinstance(changed, OtherRecipe)
    assert (changed.name, changed.crop, changed.warmup_steps) == ("a*", 32, 500)
    with pytest.raises(InputError, match="no value 'trainable' to change"):
        change_recipe(recipe, {"trainable": "all"})


@given(st.recursive(st.one_of(st.integers(), st.booleans(), st.none()), lambda inner: st.tuples(inner, inner)))
def test_values_are_written_without_spaces(value):
    assert " " not in format_value(value)


@pytest.mark.parametrize(
    ("num_images", "num_classes", "expected"),
    [
        (1_000, 1_000, ("heads", True)),
        (9_999, 3, ("heads", False)),
        (10_000, 100, ("upper", False)),
        (10_000, 101, ("upper", True)),
        (99_999, 1_000, ("upper", True)),
        (100_000, 1_000, ("all", False)),
        (333_000, 200, ("all", False)),
        (1_281_167, 1_000, ("all", False)),
        (5, 1, ("heads", False)),
    ],
)
def test_what_is_trained_follows_the_images_and_images_a_class(num_images, num_classes, expected):
    regime = choose_regime(num_images, num_classes)
    assert (regime.trainable, regime.class_agnostic) == expected
    assert "; " in regime.reason


def test_a_recipe_is_settled_where_it_is_open_and_says_why():
    open_recipe = get_train_recipe("pretrain-laptop")
    settled, reason = resolve_regime(open_recipe, 1_000, 1_000)
    assert settled == replace(open_recipe, trainable="heads", class_agnostic=True)
    assert reason == (
        "1,000 images are fewer than 10,000, so the backbone stays as it is; "
        "1 images a class are fewer than 100, so all boxes are of one class"
    )
    half, reason = resolve_regime(replace(open_recipe, trainable="all"), 100_000, 20)
    assert (half.trainable, half.class_agnostic) == ("all", False)
    assert reason == "5,000 images a class are enough to train 20 classes"
    assert resolve_regime(get_train_recipe("finetune-laptop"), 10, 1) == (get_train_recipe("finetune-laptop"), "")


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0)])
def test_nothing_to_train_on_is_refused(numbers):
    with pytest.raises(ValueError, match="expected at least one image and one class"):
        choose_regime(*numbers)


@given(st.integers(1, 2_000_000), st.integers(1, 5_000))
def test_more_images_never_train_less(num_images, num_classes):
    less, more = choose_regime(num_images, num_classes), choose_regime(2 * num_images, num_classes)
    order = ("heads", "upper", "all")
    assert order.index(less.trainable) <= order.index(more.trainable)
    assert less.class_agnostic >= more.class_agnostic


def test_times_are_the_papers_own_or_scaled_from_them():
    assert estimate_time(get_entry("pretrain-in14m-r50")).describe() == "17.6 h, 16 GPUs"
    twice = estimate_time(get_entry("pretrain-in1m-retinanet-r50"))
    assert twice.seconds == pytest.approx(2 * 1.8 * 3600, rel=1e-3)
    assert (twice.is_scaled, estimate_time(get_entry("pretrain-laptop")).machine) == (True, "2 cores")


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == render_page(), (
        "python -m dap_core.training.recipe_page > docs/recipes.md"
    )


def test_the_command_lists_all_recipes_within_80_columns(monkeypatch):
    monkeypatch.setattr("clients.cli.recipes.stdout._width", 80)
    result = run("recipes")
    assert result.exit_code == 0
    assert all(f"\n{name} " in result.stdout for name in ENTRIES)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "dap mine --recipe (paper, official, aligned)" in " ".join(result.stdout.split())


def test_the_command_shows_a_recipe_and_prints_json():
    assert "0.004" in run("recipes", "pretrain-in1m-r50").stdout
    shown = json.loads(run("recipes", "pretrain-in1m-r50", "--json").stdout)
    assert (shown["values"]["num_steps"], shown["time"]["seconds"]) == (40_038, 6480)
    assert shown["citations"]["lr"] == "script: 0.008 at batch 64, halved with the batch"
    listed = json.loads(run("recipes", "--json").stdout)["recipes"]
    assert [one["name"] for one in listed] == list(ENTRIES)
    assert shown in listed
    assert run("recipes", "nothing").exit_code == 2
