"""`docs/recipes.md`, written from the recipes: `python -m dap_core.training.recipe_page > docs/recipes.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from dap_core.training.classifier_recipe import CLASSIFIER_RECIPES
from dap_core.training.estimates import LAPTOP_RATE, PAPER_RATE, estimate_time
from dap_core.training.recipe_entries import STEP_TITLES, RecipeEntry, Step
from dap_core.training.recipes import ENTRIES
from dap_core.training.regimes import MIN_IMAGES_ALL, MIN_IMAGES_PER_CLASS, MIN_IMAGES_UPPER

_INTRO = f"""\
# Recipes of training

One recipe for each experiment of the paper, and `-laptop` ones that finish on two cores. `dap recipes` lists them,
`dap recipes NAME` shows one. This page is written from the code: `python -m dap_core.training.recipe_page`.

Of VOC the images are trainval, of COCO train2017. `backbone` is the classifier of the experiment; a recipe works with
any.

Times are rough. Those with `~` grow with the images and with the square of their short sides; on {PAPER_RATE.machine}
they are {PAPER_RATE.source}, on {LAPTOP_RATE.machine} {LAPTOP_RATE.source}. Architecture, backbone, frozen layers and
evaluation are left out of them.
"""
_REGIME = f"""\
## What is trained

`trainable` is `heads` (all but the backbone), `upper` (those and the stages of the backbone from stride 16 on) or
`all` (but the first `frozen_stages` stages). With `class_agnostic` all boxes are of one class, `object`. Where a
recipe says `auto`, both follow how much there is to train on, and the run says why:

| images with boxes | `trainable` |
| --- | --- |
| fewer than {MIN_IMAGES_UPPER:,} | `heads` |
| fewer than {MIN_IMAGES_ALL:,} | `upper` |
| more | `all` |

| images a class, on average | `class_agnostic` |
| --- | --- |
| fewer than {MIN_IMAGES_PER_CLASS:,}, of two classes or more | `true` |
| more | `false` |

The rule is ours. The paper trains all layers and all classes on about 1,280 images a class, and finds that better
than a frozen backbone (table 3). We saw pre-training on 1,000 images of 1,000 classes, all layers trained, do worse
than none, and with a frozen backbone and one class do better than none: 10 images with drawn boxes of one class, two
seeds. Nothing between is measured; the thresholds lie on the careful side. Images are counted and not boxes, as
pseudo boxes of an image share its label and overlap.

`transferred` is what fine-tuning takes over from a pre-trained detector: `all` but the last layers (the paper, step
4), or `localisation`: backbone, pyramid and what proposes boxes, without the layers that tell classes apart (of Faster
R-CNN the box head, of RetinaNet and FCOS the tower of the classes). `auto` is `localisation` where a detector that was
trained on one class is to tell several apart, else `all`.
"""
_SHOTS = """\
## Few shots

The paper tunes the number of steps for few shots and gives no values. Ours start from those of all the images, times
the square root of the share of images that is left; milestones come after the same shares of the run, and the warm-up
takes a tenth of it at most. They are untested and a start: compare some `--set num_steps=N` on images that are held
out.
"""
_CHANGES = """\
## Changing values

`--set key=value`, as often as needed, changes values for one run; the name of the recipe then ends with a star. Lists
are separated by commas, `none` is no value. An unknown key or a value of another kind is refused.

```
--set num_steps=300 --set trainable=heads --set augment.short_sides=96,128
```

When `num_steps` changes, `milestones` move in proportion, and for a shorter run `warmup_steps` too, unless they are
set as well.
"""
_SOURCES = """\
## Where the values come from

`text` is the paper, `script` the authors' released training script, `convention` what the trainers do that the text
builds on, `ours` what none of them says.
"""


def render_page() -> str:
    """The page as Markdown."""
    parts = [
        _INTRO,
        _render_classifiers(),
        *(_render_step(step) for step in STEP_TITLES),
        _REGIME,
        _SHOTS,
        _CHANGES,
        _SOURCES,
    ]
    parts += [_render_sources(step) for step in STEP_TITLES]
    return "\n".join(parts)


def _render_classifiers() -> str:
    head = ("recipe", "steps x batch", "rate", "crops", "source")
    rows = [
        (f"`{one.name}`", f"{one.num_steps:,} x {one.batch_size:,}", f"{one.lr:g}", f"{one.crop_size} px", one.source)
        for one in CLASSIFIER_RECIPES.values()
    ]
    note = "`dap train-classifier --recipe`; with `--head-only` a last layer is fitted and no recipe is needed."
    return f"## Classifiers (step 1)\n\n{note}\n\n{_render_table(head, rows)}"


def _list_entries(step: Step) -> list[RecipeEntry]:
    return [entry for entry in ENTRIES.values() if entry.step == step]


def _render_step(step: Step) -> str:
    head = ("recipe", "for", "backbone", "needs", "steps x batch", "rate", "short sides", "time")
    rows = [
        (
            f"`{entry.name}`",
            entry.recipe.source,
            entry.backbone,
            entry.needs,
            f"{entry.recipe.num_steps:,} x {entry.recipe.batch_size}",
            f"{entry.recipe.lr:g}",
            ", ".join(map(str, entry.recipe.augment.short_sides)),
            estimate_time(entry).describe(),
        )
        for entry in _list_entries(step)
    ]
    title = STEP_TITLES[step]
    return f"## {title[0].upper()}{title[1:]}\n\n{_render_table(head, rows)}"


def _render_sources(step: Step) -> str:
    """The values of the recipes of a step; recipes that have a value from the same source share a row."""
    entries = _list_entries(step)
    shared: dict[tuple[str, str], dict[str, str]] = {}
    for entry in entries:
        for key, text, citation in entry.list_values():
            shared.setdefault((key, citation), {})[entry.name] = text or "-"
    order = {key: number for number, (key, _, _) in enumerate(entries[0].list_values())}
    names = [entry.name for entry in entries]
    rows = [
        (f"`{key}`", value, of, citation)
        for (key, citation), texts in sorted(shared.items(), key=lambda item: order[item[0][0]])
        for value, of in _group_by_value(texts, names)
    ]
    return f"### Values of {STEP_TITLES[step]}\n\n{_render_table(('value', '', 'of', 'from'), rows)}"


def _group_by_value(texts: dict[str, str], all_names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each value with the recipes that have it; where nearly each has its own, all in one."""
    values = list(dict.fromkeys(texts.values()))
    if len(values) > 1 and 2 * len(values) >= len(texts):
        yield "", ", ".join(f"`{name}` {text}" for name, text in texts.items())
        return
    for value in values:
        names = [name for name, text in texts.items() if text == value]
        others = [name for name in all_names if name not in names]
        if len(others) < len(names):
            yield value, f"all but {_quote(others)}" if others else "all"
        else:
            yield value, _quote(names)


def _quote(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    sys.stdout.write(render_page())
