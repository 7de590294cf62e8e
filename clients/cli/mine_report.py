"""What `dap mine` prints at its end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from clients.cli.console import print_facts, print_json, stderr, stdout, warn
from clients.cli.places import shorten_place
from clients.cli.quantities import format_duration

if TYPE_CHECKING:
    from services.jobs.records import JobRecord

_LEAST_AGREEMENT = 0.2
_LEAST_IMAGES = 20


def report_mining(record: JobRecord, *, as_json: bool) -> None:
    """Prints the result of a mining job, as a table or as JSON, and what is odd about it."""
    result = {"job": record.job, **(record.result or {})}
    if as_json:
        print_json(result)
    else:
        _print_table(result)
        _print_failures(result)
    _warn_of_disagreement(result)


def _print_table(result: dict[str, Any]) -> None:
    skipped = f", {result['skipped_files']} other files skipped" if result["skipped_files"] else ""
    place = shorten_place(result["label_set"])
    rows = [
        ("label set", place),
        ("images", f"{result['ok']} labelled, {result['failed']} failed{skipped}"),
        ("boxes", f"{result['boxes']}, {result['boxes_per_image']:.3f} per image"),
        ("recipe", f"{result['recipe']}, {result['classifier']} on {result['engine']}"),
        ("speed", _describe_speed(result)),
        ("job", result["job"]),
    ]
    print_facts("mined", rows)
    quoted = shlex.quote(place)
    stdout.print(f"look at it:  dap show {quoted}   dap stats {quoted}", soft_wrap=True, markup=False)


def _describe_speed(result: dict[str, Any]) -> str:
    if not result["mined_now"]:
        return "nothing was left to do"
    took = format_duration(result["seconds"])
    return (
        f"{result['images_per_s']:.2f} images/s once started; {result['mined_now']} images in {took}, "
        f"{result['start_up_s']:.1f} s of it to start"
    )


def _print_failures(result: dict[str, Any]) -> None:
    for kind, number in sorted(result["failures_by_type"].items(), key=lambda item: -item[1]):
        stderr.print(f"[red]{number} x {kind}[/], such as ", end="")
        stderr.print(result["examples"][kind], markup=False, soft_wrap=True)


def _warn_of_disagreement(result: dict[str, Any]) -> None:
    num_ok = result["mined_now"] - sum(result["failures_by_type"].values())
    if num_ok >= _LEAST_IMAGES and result["agreeing"] < _LEAST_AGREEMENT * num_ok:
        warn(
            f"the classifier's first choice is the given label on only {result['agreeing']} of {num_ok} images; "
            "are these its classes, and its weights trained?"
        )
