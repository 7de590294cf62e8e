"""`dap verify`: a label set held against its manifest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from clients.cli.console import ExitCode, print_json, reports_errors, stderr, stdout


@reports_errors
def verify(
    label_set: Annotated[str, typer.Argument(help="A label set, complete or partial.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a label set: checksums, counts, columns, every box inside its image, nothing lost or doubled.

    Ends with 0 when it is sound and complete, 3 when it is sound but partial, 4 when it is damaged.
    """
    from dap_core.label_sets import verify_label_set
    from services.places import open_label_set_at

    opened = open_label_set_at(label_set, allow_partial=True)
    with stderr.status(f"reading {label_set}"):
        problems = verify_label_set(opened)
    manifest = opened.manifest
    counts = {**asdict(manifest.counts), "num_incomplete": manifest.counts.num_incomplete}
    if as_json:
        print_json({"label_set": str(label_set), "state": manifest.state, "problems": problems, **counts})
    else:
        for problem in problems:
            stdout.print(f"- {problem}", markup=False, soft_wrap=True)
        verdict = f"damaged: {len(problems)} problems" if problems else "sound"
        stdout.print(
            f"{verdict}, {manifest.state}: {counts['num_ok']} images with {counts['num_boxes']} boxes, "
            f"{counts['num_failed']} failures, {counts['num_incomplete']} still to do"
        )
    if problems:
        raise typer.Exit(ExitCode.FAILED)
    if manifest.state == "partial":
        raise typer.Exit(ExitCode.PARTLY_FAILED)
