"""`dap recipes`: the ways to train a detector, and where their values come from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.console import make_table, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from dap_core.training.recipe_entries import RecipeEntry


@reports_errors
def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show all values of this recipe.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the recipes that detectors are trained with, or all values of one and where they come from.

    There is one for each experiment of the paper, and `-laptop` ones for a few cores. Times are rough: `~` marks those
    that are scaled from another run's.

    [bold]dap recipes[/bold]   [bold]dap recipes pretrain-laptop[/bold]
    """
    from dap_core.training.recipes import ENTRIES, get_entry

    if name is not None:
        entry = get_entry(name)
        if as_json:
            print_json(_to_json(entry))
        else:
            _print_entry(entry)
    elif as_json:
        print_json({"recipes": [_to_json(entry) for entry in ENTRIES.values()]})
    else:
        _print_list(list(ENTRIES.values()))


def _to_json(entry: RecipeEntry) -> dict[str, Any]:
    from dap_core.training.estimates import estimate_time

    values = entry.recipe.to_dict()
    return {
        "name": values.pop("name"),
        "source": values.pop("source"),
        "step": entry.step,
        "backbone": entry.backbone,
        "needs": entry.needs,
        "values": values,
        "citations": dict(entry.citations),
        "time": asdict(estimate_time(entry)),
    }


def _print_list(entries: list[RecipeEntry]) -> None:
    from dap_core.recipes import RECIPES
    from dap_core.training.classifier_recipe import CLASSIFIER_RECIPES
    from dap_core.training.estimates import estimate_time
    from dap_core.training.recipe_entries import STEP_TITLES

    for step, title in STEP_TITLES.items():
        rows = [
            (
                entry.name,
                f"{entry.recipe.num_steps:,} x {entry.recipe.batch_size}",
                estimate_time(entry).describe(),
                entry.needs,
            )
            for entry in entries
            if entry.step == step
        ]
        table = make_table(title, ("recipe", "steps x batch", "time", "needs"), rows)
        table.columns[-1].justify = "left"
        for column in table.columns[:-1]:
            column.no_wrap = True
        stdout.print(table)
        stdout.print()
    classifiers = ", ".join(CLASSIFIER_RECIPES)
    stdout.print(f"Classifiers (step 1): dap train-classifier --recipe ({classifiers}).", markup=False, highlight=False)
    stdout.print("dap recipes NAME shows the values of one and where they come from.", markup=False, highlight=False)
    mining = ", ".join(RECIPES)
    stdout.print(
        f"Boxes are mined by recipes of their own: dap mine --recipe ({mining}).", markup=False, highlight=False
    )


def _print_entry(entry: RecipeEntry) -> None:
    from dap_core.training.estimates import estimate_time

    estimate = estimate_time(entry)
    facts = [
        ("for", entry.recipe.source),
        ("step", entry.step),
        ("needs", entry.needs),
        ("backbone", entry.backbone),
        ("time", f"{estimate.describe()} ({estimate.source})"),
    ]
    head = make_table(entry.name, ("", ""), facts)
    head.show_header = False
    values = [(key, text or "-", citation) for key, text, citation in entry.list_values()]
    table = make_table("", ("value", "", "from"), values)
    for column in (*head.columns, *table.columns):
        column.justify = "left"
    table.columns[1].no_wrap = True
    stdout.print(head)
    stdout.print(table)
