"""Options that say what is labelled and how its labels are found, shared by `dap mine` and `dap plan`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.places import open_source_at, read_label_table

if TYPE_CHECKING:
    from dap_core.datasets import LabelRule, Source

SourceArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="An ImageNet-style folder (CLASS/IMAGE.jpg) or s3://bucket/prefix, a CSV file "
        "(path,label[,label...]), image files, or annotations (COCO, VOC, YOLO, ...) whose classes are the labels.",
        show_default=False,
    ),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label", help="Label of all images: wnid, name, index, or auto for the classifier's choice. May repeat."
    ),
]
LabelPatternOption = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Label of an image is what the group (?P<label>...) finds in its key, as in '(?P<label>n\\d{8})'.",
        show_default=False,
    ),
]
LabelTableOption = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Labels are in a CSV or Parquet file with the columns key and label: a path or s3://bucket/key.",
        show_default=False,
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="CLASS=LABEL",
        help="Label to mine for a class of the annotations; CLASS= leaves it out. May repeat.",
    ),
]
ClassifierOption = Annotated[
    str, typer.Option(help="lite0 (bundled), or a torchvision or timm network: resnet50, timm/resnet50d.")
]
WeightsOption = Annotated[
    str | None, typer.Option(help="Local .safetensors or .pth file, a torchvision weights name, or random.")
]
ClassesOption = Annotated[Path | None, typer.Option(help="CSV index,wnid,name for weights that are not ImageNet-1k.")]


@dataclass(frozen=True, slots=True)
class LabelledSource:
    """A source, and what is odd about its labels, one sentence each."""

    source: Source
    warnings: tuple[str, ...]


def open_labelled_source(
    places: list[str],
    *,
    label: list[str] | None,
    label_pattern: str | None,
    label_table: str | None,
    renamed: list[str] | None,
    destination: str | None = None,
) -> LabelledSource:
    """The source that the options ask for. Raises SourceError, DestinationError, StoreError, ValueError."""
    rule = _choose_rule(label, label_pattern, label_table)
    label_map = _parse_map(renamed or [])
    found = open_source_at(places, label or [], rule=rule, destination=destination, label_map=label_map)
    return LabelledSource(found, tuple(_list_warnings(found, rule)))


def _choose_rule(label: list[str] | None, label_pattern: str | None, label_table: str | None) -> LabelRule | None:
    """Where labels come from, None when the source or `label` says so."""
    from dap_core.datasets import PatternLabels
    from dap_core.errors import SourceError

    options = {"--label": label, "--label-pattern": label_pattern, "--label-table": label_table}
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise SourceError(f"{' and '.join(given)} exclude each other; give one of them")
    if label_pattern is not None:
        return PatternLabels.from_text(label_pattern)
    return read_label_table(label_table) if label_table is not None else None


def _parse_map(entries: list[str]) -> dict[str, str]:
    pairs = [entry.rpartition("=") for entry in entries]
    odd = next((entry for entry, (name, _, _) in zip(entries, pairs, strict=True) if not name), None)
    if odd is not None:
        raise ValueError(f"--map must be CLASS=LABEL, got {odd!r}")
    return {name: label.strip() for name, _, label in pairs}


def _list_warnings(found: Source, rule: LabelRule | None) -> list[str]:
    from dap_core.datasets import TableLabels

    warnings = []
    if found.problems:
        first = found.problems[0]
        warnings.append(f"{len(found.problems)} problems in the annotations, such as {first.where}: {first.message}")
    if isinstance(rule, TableLabels) and (missing := rule.find_missing({row.key for row in found.rows})):
        warnings.append(
            f"no image in {found.store.uri} for {len(missing):,} of {len(rule.labels_by_key):,} keys of {rule.place}, "
            f"such as {missing[0]!r}; keys are relative to the source, as is {found.rows[0].key!r}"
        )
    return warnings
