"""`dap plan`: what `dap mine` would do, without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.console import make_table, print_json, reports_errors, stderr, stdout, warn
from clients.cli.source_options import (
    ClassesOption,
    ClassifierOption,
    LabelledSource,
    LabelOption,
    LabelPatternOption,
    LabelTableOption,
    MapOption,
    SourceArgument,
    WeightsOption,
    open_labelled_source,
)

if TYPE_CHECKING:
    from dap_core.datasets.unknown_labels import UnknownLabels

_TOP_LABELS = 5
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a source holds and what would become of it."""

    source: str
    images: int
    bytes: int
    shards: int
    without_label: int
    labels: int
    top_labels: tuple[tuple[str, int], ...]
    """The labels of most images, with their number of images."""
    duplicates: int
    skipped_files: int


@reports_errors
def plan(
    source: SourceArgument,
    label: LabelOption = None,
    label_pattern: LabelPatternOption = None,
    label_table: LabelTableOption = None,
    renamed: MapOption = None,
    classifier: ClassifierOption = "lite0",
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what `dap mine` would label, without writing anything.

    Lists the source, finds the labels and asks the classifier whether it knows them; no image is read.

    Ends with 2 where `dap mine` would refuse.

    [bold]dap plan s3://photos/animals[/bold]
    [bold]dap plan photos/ --label-pattern '(?P<label>n[0-9]+)_'[/bold]
    """
    from dap_core.classifiers import load_classifier, read_classes
    from dap_core.datasets.unknown_labels import find_unknown_labels
    from dap_core.errors import SourceError

    with stderr.status("listing"):
        opened = open_labelled_source(
            source, label=label, label_pattern=label_pattern, label_table=label_table, renamed=renamed
        )
    with stderr.status(f"loading {classifier}"):
        loaded = load_classifier(classifier, weights=weights, classes=read_classes(classes) if classes else None)
    unknown = find_unknown_labels(opened.source.rows, loaded.classes)
    preview = _preview(opened)
    warnings = _list_warnings(opened, preview, unknown)
    refusal = f"dap mine refuses this: {_describe(unknown)}" if unknown.are_too_many else None
    if as_json:
        print_json(
            {
                **asdict(preview),
                "top_labels": [{"label": name, "images": number} for name, number in preview.top_labels],
                "unknown_labels": _to_json(unknown),
                "warnings": warnings,
                "refusal": refusal,
            }
        )
    else:
        _print_preview(preview, unknown)
        for warning in warnings:
            warn(warning)
    if refusal:
        raise SourceError(refusal)


def _preview(opened: LabelledSource) -> Preview:
    from dap_core.label_sets.plan import assign_shards

    rows = opened.source.rows
    counts = Counter(label for row in rows for label in dict.fromkeys(row.labels))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Preview(
        source=opened.source.store.uri,
        images=len(rows),
        bytes=sum(row.size for row in rows),
        shards=len(assign_shards(rows)),
        without_label=sum(not row.labels for row in rows),
        labels=len(counts),
        top_labels=tuple(ranked[:_TOP_LABELS]),
        duplicates=len(rows) - len({row.key for row in rows}),
        skipped_files=opened.source.num_skipped,
    )


def _list_warnings(opened: LabelledSource, preview: Preview, unknown: UnknownLabels) -> list[str]:
    warnings = list(opened.warnings)
    if preview.without_label:
        key = next(row.key for row in opened.source.rows if not row.labels)
        warnings.append(
            f"no label for {preview.without_label:,} of {_count(preview.images, 'image')}, such as {key!r}; "
            "they will fail as no-label"
        )
    if preview.duplicates:
        warnings.append(
            f"{preview.duplicates:,} of {_count(preview.images, 'image')} listed again; they will fail as duplicate-key"
        )
    if unknown.num_images and not unknown.are_too_many:
        warnings.append(_describe(unknown))
    return warnings


def _describe(unknown: UnknownLabels) -> str:
    return f"{unknown.describe_count()}; {unknown.describe_consequence()}"


def _to_json(unknown: UnknownLabels) -> dict[str, Any]:
    return {
        "labels": unknown.num_labels,
        "images": unknown.num_images,
        "first": [{"label": one.label, "images": one.num_images, "nearest": one.nearest} for one in unknown.first],
    }


def _print_preview(preview: Preview, unknown: UnknownLabels) -> None:
    size, shards = _format_bytes(preview.bytes), _count(preview.shards, "shard")
    nearest = [(f"{_show(one.label)}; {one.describe_nearest()}", one.num_images) for one in unknown.first]
    top = [(_show(label), number) for label, number in preview.top_labels]
    on_images = f" on {_count(unknown.num_images, 'image')}" if unknown.num_labels else ""
    rows = [
        ("source", preview.source),
        ("images", f"{preview.images:,} ({size}) in {shards}"),
        ("labels", _list_items(f"{preview.labels:,}", top, preview.labels)),
        ("unknown labels", _list_items(f"{unknown.num_labels:,}{on_images}", nearest, unknown.num_labels)),
        ("without label", f"{preview.without_label:,}"),
        ("duplicates", f"{preview.duplicates:,}"),
        ("skipped", _count(preview.skipped_files, "other file")),
    ]
    table = make_table("planned", ("", ""), rows)
    table.columns[1].justify = "left"
    table.show_header = False
    stdout.print(table)


def _list_items(head: str, first: Sequence[tuple[str, int]], total: int) -> str:
    """A line, below it the first items with their number of images, and how many more there are."""
    width = max((len(f"{number:,}") for _, number in first), default=0)
    items = [f"{number:>{width},}  {name}" for name, number in first]
    others = total - len(first)
    return "\n".join([head, *items, *([f"and {others:,} more"] if others else [])])


def _show(label: str) -> str:
    """A label on one line, whatever it holds."""
    return label if label.isprintable() else repr(label)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _format_bytes(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} {_UNITS[-1]}"
