"""Options that say what is labelled and how its labels are found, shared by `dap mine` and `dap plan`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

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
    str,
    typer.Option(
        help="lite0 (bundled), a torchvision or timm network (resnet50, timm/resnet50d), or where "
        "`dap train-classifier` wrote one: a folder or s3://bucket/prefix."
    ),
]
WeightsOption = Annotated[
    str | None, typer.Option(help="Local .safetensors or .pth file, a torchvision weights name, or random.")
]
ClassesOption = Annotated[Path | None, typer.Option(help="CSV index,wnid,name for weights that are not ImageNet-1k.")]


@dataclass(frozen=True, kw_only=True)
class LabelRuleOptions:
    """Where the labels of images come from that are not in their folders."""

    label_pattern: LabelPatternOption = None
    label_table: LabelTableOption = None
    renamed: MapOption = None

    @property
    def same_labels(self) -> tuple[str, ...]:
        """Labels of all images."""
        return ()

    def make_fields(self, places: list[str]) -> dict[str, Any]:
        """The fields of a spec that these options stand for, of images in some places.

        Local paths are made absolute. Raises ValueError.
        """
        given = {"--label": self.same_labels, "--label-pattern": self.label_pattern, "--label-table": self.label_table}
        names = [name for name, value in given.items() if value]
        if len(names) > 1:
            raise ValueError(f"{' and '.join(names)} exclude each other; give one of them")
        return {
            "source": tuple(map(make_absolute, places)),
            "labels": self.same_labels,
            "label_pattern": self.label_pattern,
            "label_table": None if self.label_table is None else make_absolute(self.label_table),
            "label_map": parse_map(self.renamed or []),
        }


@dataclass(frozen=True, kw_only=True)
class LabelSourceOptions(LabelRuleOptions):
    """The same, or labels that all images have."""

    label: LabelOption = None

    @property
    def same_labels(self) -> tuple[str, ...]:
        """Labels of all images."""
        return tuple(self.label or ())


def make_absolute(place: str) -> str:
    """A place that means the same from every folder."""
    from services.storage import is_remote

    return place if is_remote(place) else str(Path(place).absolute())


def make_classifier_absolute(classifier: str) -> str:
    """Where a trained classifier is, from every folder the same; the name of a network as it is."""
    from services.classifiers import is_classifier_place

    return make_absolute(classifier) if is_classifier_place(classifier) else classifier


def make_weights_absolute(weights: str | None) -> str | None:
    """A file of weights by its full path; a name of published weights as it is."""
    return make_absolute(weights) if weights is not None and Path(weights).suffix else weights


def parse_map(entries: list[str]) -> dict[str, str]:
    """Entries CLASS=LABEL as a mapping. Raises ValueError for another form."""
    pairs = [entry.rpartition("=") for entry in entries]
    odd = next((entry for entry, (name, _, _) in zip(entries, pairs, strict=True) if not name), None)
    if odd is not None:
        raise ValueError(f"--map must be CLASS=LABEL, got {odd!r}")
    return {name: label.strip() for name, _, label in pairs}
