"""What `dap train-classifier` prints at its end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from clients.cli.console import make_table, print_facts, print_json, stdout
from clients.cli.places import shorten_place
from clients.cli.quantities import format_duration

if TYPE_CHECKING:
    from services.jobs.records import JobRecord

_NUM_WORST = 10


def report_classifier(record: JobRecord, *, as_json: bool) -> None:
    """Prints the result of a job that trained a classifier, as tables or as JSON."""
    result = {"job": record.job, **(record.result or {})}
    if as_json:
        print_json(result)
        return
    print_facts("trained", _list_rows(result))
    if worst := _list_worst(result["held_out"]["by_class"]):
        title = "held out, the classes least often right" if len(worst) == _NUM_WORST else "held out"
        stdout.print(make_table(title, ("class", "images", "right", "top-1"), worst))
    place = shlex.quote(shorten_place(result["out"]))
    stdout.print(f"use it:  dap mine SOURCE --classifier {place} --out LABELS", soft_wrap=True, markup=False)


def _list_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    left_out = f", {result['left_out']} left out" if result.get("left_out") else ""
    what = "last layer of" if result["head_only"] else f"trained: {result['trainable']} of"
    return [
        ("classifier", shorten_place(result["out"])),
        ("network", f"{what} {result['network']}, from {shorten_place(result['start'])}"),
        ("trained on", f"{result['images']:,} images of {result['classes']:,} classes{left_out}"),
        ("recipe", result["recipe"]),
        *_list_losses(result),
        ("held out", _describe_accuracy(result["held_out"])),
        ("speed", _describe_speed(result)),
        ("job", result["job"]),
    ]


def _list_losses(result: dict[str, Any]) -> list[tuple[str, str]]:
    if result["head_only"]:
        return []
    return [
        ("loss", f"{result['first_loss']:.3f} in the first tenth of the steps, {result['last_loss']:.3f} in the last")
    ]


def _describe_accuracy(held_out: dict[str, Any]) -> str:
    if held_out["top1"] is None:
        return "nothing"
    return (
        f"{held_out['top1']:.1%} top-1: {held_out['right']:,} of {held_out['images']:,} images, "
        f"short side {held_out['short_side']} px"
    )


def _describe_speed(result: dict[str, Any]) -> str:
    num_done = result["images_now"] if result["head_only"] else result["steps_now"]
    if not num_done:
        return "nothing was left to do"
    seconds = format_duration(result["seconds"])
    if result["head_only"]:
        return f"{num_done:,} images once, on {result['engine']}, and fitting: {seconds}"
    return (
        f"{result['steps']:,} steps, {result['images_per_s']:.1f} images/s, {result['waiting']:.1%} of it waiting for "
        f"images; {seconds} now"
    )


def _list_worst(by_class: list[dict[str, Any]]) -> list[tuple[str, int, int, str]]:
    ranked = sorted(by_class, key=lambda one: (one["right"] / one["images"], one["name"]))[:_NUM_WORST]
    return [(one["name"], one["images"], one["right"], f"{one['right'] / one['images']:.1%}") for one in ranked]
