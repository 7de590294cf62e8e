"""What the training commands print at their end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from clients.cli.console import print_facts, print_json, stdout
from clients.cli.places import shorten_place
from clients.cli.quantities import format_duration

if TYPE_CHECKING:
    from services.jobs.records import JobRecord

_NEXT = {
    "pretrain": "use it:  dap finetune {place} --data ANNOTATIONS --out DEST",
    "finetune": "measure it:  dap evaluate {place} --data ANNOTATIONS",
}


def report_training(record: JobRecord, *, as_json: bool) -> None:
    """Prints the result of a training job, as a table or as JSON."""
    result = {"job": record.job, **(record.result or {})}
    if as_json:
        print_json(result)
        return
    print_facts("trained", _list_rows(result))
    kind = "finetune" if "data" in result else "pretrain"
    place = shlex.quote(shorten_place(result["out"]))
    stdout.print(_NEXT[kind].format(place=place), soft_wrap=True, markup=False)


def _list_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    agnostic = "one class for all boxes" if result["class_agnostic"] else f"{result['classes']} classes"
    drawn = " drawn" if "found_boxes" in result else ""
    rows = [
        ("detector", shorten_place(result["out"])),
        ("trained on", f"{result['images']} images, {result['boxes']}{drawn} boxes, {agnostic}"),
        ("recipe", f"{result['recipe']}, {result['architecture']}, trained: {result['trainable']}"),
        ("loss", f"{result['first_loss']:.3f} in the first tenth of the steps, {result['last_loss']:.3f} in the last"),
        ("speed", _describe_speed(result)),
        ("job", result["job"]),
    ]
    if measured := result["measured"]:
        rows.insert(4, ("measured", _describe_measurement(measured)))
    if result.get("regime"):
        rows.insert(3, ("why", result["regime"]))
    if "tensors_loaded" in result:
        skipped = f"{len(result['tensors_skipped'])} of its last layers left out"
        rows.insert(
            1, ("starts from", f"{shorten_place(result['start'])}: {result['tensors_loaded']} tensors, {skipped}")
        )
    elif "found_boxes" in result:
        rows.insert(1, ("starts from", f"{shorten_place(result['start'])}, with all its layers"))
        found = f"{result['found_boxes']} boxes in {result['found_images']} images"
        rows.insert(2, ("found by it", f"{found}: {shorten_place(result['label_set'])}"))
    elif "start" in result:
        rows.insert(1, ("starts from", f"{result['start']}, no pre-trained detector"))
    return rows


def _describe_measurement(measured: dict[str, Any]) -> str:
    if measured["ap"] is None:
        return f"nothing is to be found in its {measured['images']} test images"
    failed = f", {measured['failed']} of them unreadable" if measured["failed"] else ""
    figures = f"AP {measured['ap']:.3f}, AP50 {measured['ap50']:.3f}"
    return f"{figures} on {measured['images']} images{failed} after step {measured['step']}"


def _describe_speed(result: dict[str, Any]) -> str:
    if not result["steps_now"]:
        return f"{result['steps']} steps; nothing was left to do"
    return (
        f"{result['steps']} steps, {result['images_per_s']:.2f} images/s, {result['waiting']:.1%} of the time waiting "
        f"for data; {format_duration(result['seconds'])} now"
    )
