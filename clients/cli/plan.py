"""`dap plan`: what `dap mine` would do, without doing it."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.console import ExitCode, print_facts, print_json, reports_errors, stderr, warn
from clients.cli.labeling_options import LabelingOptions
from clients.cli.option_groups import takes_groups
from clients.cli.preview import check_preview_folder, run_preview
from clients.cli.preview_report import Preview, print_preview
from clients.cli.quantities import format_bytes, format_count
from clients.cli.source_options import LabelSourceOptions, SourceArgument

if TYPE_CHECKING:
    from dap_core.datasets import Source
    from dap_core.datasets.unknown_labels import UnknownLabels
    from services.jobs.job_plans import Overview
    from services.jobs.specs import LabelingFields


@dataclass(frozen=True, kw_only=True)
class PreviewOptions:
    """Whether a sample is labelled, and what is shown of it."""

    preview: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Label N images at random: a page to look at, speed and time for all."),
    ] = None
    preview_out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A new folder for preview.html and the label set of the sample. Left out: a temporary one, page only.",
            show_default=False,
        ),
    ] = None
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page, if on a terminal.")] = True

    def check(self) -> None:
        """Raises ValueError for a place without a preview, DestinationError for one that is taken."""
        if self.preview_out and not self.preview:
            raise ValueError("--preview-out says where a preview goes; give --preview N with it")
        if self.preview_out:
            check_preview_folder(self.preview_out)


@reports_errors
@takes_groups
def plan(
    source: SourceArgument,
    rules: LabelSourceOptions,
    chosen: LabelingOptions,
    sample: PreviewOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what `dap mine` would label, without writing anything.

    Lists the source, finds the labels and asks the classifier whether it knows them; no image is read.
    With --preview, a random sample is labelled with the options of `dap mine`, and its page is opened.

    Ends with 2 where `dap mine` would refuse, and with 4 when no image of the sample could be labelled.

    [bold]dap plan s3://photos/animals[/bold]
    [bold]dap plan photos/ --preview 64[/bold]
    [bold]dap plan photos/ --label-pattern '(?P<label>n[0-9]+)_'[/bold]
    """
    from dap_core.datasets.unknown_labels import find_unknown_labels
    from dap_core.errors import SourceError
    from services.jobs.job_plans import describe_unknown, list_warnings, make_overview
    from services.jobs.labelers import find_classes, make_recipe
    from services.jobs.specs import LabelingFields, SourceFields, check_values
    from services.sources import open_labelled_source

    sample.check()
    labeling = check_values(LabelingFields, chosen.make_fields(), "dap plan")
    make_recipe(labeling)
    fields = check_values(SourceFields, rules.make_fields(source), "the source")
    with stderr.status("listing"):
        opened = open_labelled_source(fields, str(sample.preview_out) if sample.preview_out else None)
    with stderr.status(f"looking at the classes of {labeling.classifier}"):
        unknown = find_unknown_labels(opened.source.rows, find_classes(labeling))
    overview = make_overview(opened)
    warnings = list_warnings(opened, overview, unknown)
    refusal = f"dap mine refuses this: {describe_unknown(unknown)}" if unknown.are_too_many else None
    if not as_json:
        _print_overview(overview, unknown)
        for warning in warnings:
            warn(warning)
    shown = _preview(labeling, opened.source, sample) if sample.preview and not refusal else None
    if as_json:
        print_json(_to_json(overview, unknown, warnings, refusal, shown))
    elif shown:
        _show_preview(shown, open_page=sample.open_)
    if refusal:
        raise SourceError(refusal)
    raise typer.Exit(_exit_code(shown))


def _preview(labeling: LabelingFields, source: Source, sample: PreviewOptions) -> Preview:
    from services.jobs.labelers import load_chosen_classifier, make_labeler

    assert sample.preview is not None
    with stderr.status("starting the labeler"):
        labeler = make_labeler(labeling, load_chosen_classifier(labeling))
    embed_images = labeling.images == "embed"
    return run_preview(
        labeler,
        source,
        num_images=sample.preview,
        out=sample.preview_out,
        embed_images=embed_images,
        store_cams=labeling.cams,
    )


def _show_preview(shown: Preview, *, open_page: bool) -> None:
    print_preview(shown)
    if shown.page and open_page and sys.stdout.isatty():
        webbrowser.open(shown.page.as_uri())


def _exit_code(shown: Preview | None) -> ExitCode:
    if shown and shown.is_interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if shown and not shown.ok else ExitCode.OK


def _to_json(
    overview: Overview, unknown: UnknownLabels, warnings: list[str], refusal: str | None, shown: Preview | None
) -> dict[str, Any]:
    from services.jobs.job_plans import describe_plan

    return {
        **describe_plan(overview, unknown),
        "warnings": warnings,
        "refusal": refusal,
        "preview": shown and shown.to_json(),
    }


def _print_overview(overview: Overview, unknown: UnknownLabels) -> None:
    size, shards = format_bytes(overview.bytes), format_count(overview.shards, "shard")
    nearest = [(f"{_show(one.label)}; {one.describe_nearest()}", one.num_images) for one in unknown.first]
    top = [(_show(label), number) for label, number in overview.top_labels]
    on_images = f" on {format_count(unknown.num_images, 'image')}" if unknown.num_labels else ""
    rows = [
        ("source", overview.source),
        ("images", f"{overview.images:,} ({size}) in {shards}"),
        ("labels", _list_items(f"{overview.labels:,}", top, overview.labels)),
        ("unknown labels", _list_items(f"{unknown.num_labels:,}{on_images}", nearest, unknown.num_labels)),
        ("without label", f"{overview.without_label:,}"),
        ("duplicates", f"{overview.duplicates:,}"),
        ("skipped", format_count(overview.skipped_files, "other file")),
    ]
    print_facts("planned", rows)


def _list_items(head: str, first: Sequence[tuple[str, int]], total: int) -> str:
    """A line, below it the first items with their number of images, and how many more there are."""
    width = max((len(f"{number:,}") for _, number in first), default=0)
    items = [f"{number:>{width},}  {name}" for name, number in first]
    others = total - len(first)
    return "\n".join([head, *items, *([f"and {others:,} more"] if others else [])])


def _show(label: str) -> str:
    """A label on one line, whatever it holds."""
    return label if label.isprintable() else repr(label)
