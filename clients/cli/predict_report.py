"""What `dap predict` prints at its end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from clients.cli.console import print_facts, print_json, stderr, stdout
from clients.cli.quantities import format_duration

if TYPE_CHECKING:
    from services.jobs.records import JobRecord


def report_prediction(record: JobRecord, *, as_json: bool) -> None:
    """Prints the result of a prediction job, as a table or as JSON."""
    result = {"job": record.job, **(record.result or {})}
    if as_json:
        print_json(result)
        return
    skipped = f", {result['skipped_files']} other files skipped" if result["skipped_files"] else ""
    recipe = result["recipe"]
    rows = [
        ("label set", result["label_set"]),
        ("images", f"{result['ok']} done, {result['failed']} failed{skipped}"),
        ("boxes", f"{result['boxes']}, {result['boxes_per_image']:.3f} per image"),
        (
            "detector",
            f"{result['detector']} at {recipe['short_side']} px{', mirrored too' if recipe['mirror'] else ''}",
        ),
        ("speed", _describe_speed(result)),
        ("job", result["job"]),
    ]
    print_facts("predicted", rows)
    quoted = shlex.quote(result["label_set"])
    stdout.print(f"look at it:  dap show {quoted}", soft_wrap=True, markup=False)
    for kind, number in sorted(result["failures_by_type"].items(), key=lambda item: -item[1]):
        stderr.print(f"[red]{number} x {kind}[/], such as ", end="")
        stderr.print(result["examples"][kind], markup=False, soft_wrap=True)


def _describe_speed(result: dict[str, Any]) -> str:
    if not result["predicted_now"]:
        return "nothing was left to do"
    took = format_duration(result["seconds"])
    return f"{result['images_per_s']:.2f} images/s; {result['predicted_now']} images in {took}"
