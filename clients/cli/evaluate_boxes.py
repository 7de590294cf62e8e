"""`dap evaluate-boxes`: the boxes of a label set against drawn ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.class_maps import parse_class_map
from clients.cli.console import make_table, print_json, reports_errors, stderr, stdout, warn
from clients.cli.export import VocFlavorName
from clients.cli.option_groups import takes_groups

if TYPE_CHECKING:
    from dap_core.datasets import Annotations
    from dap_core.evaluation.metrics import Metric
    from dap_core.evaluation.truth import TruthReport

_NAMES = {
    "top_box_corloc": "CorLoc, first box",
    "any_box_corloc": "CorLoc, any box",
    "gt_known_loc": "GT-known localisation",
    "top1_loc": "top-1 localisation",
    "max_box_acc_own": "MaxBoxAcc, own box rule",
    "max_box_acc_v2_own": "MaxBoxAccV2, own box rule",
    "max_box_acc_tight": "MaxBoxAcc, tight rectangle",
    "max_box_acc_v2_tight": "MaxBoxAccV2, tight rectangle",
    "average_recall": "average recall",
    "boxes_per_label": "boxes per label",
    "dx": "dx, % of shorter side",
    "dy": "dy, % of shorter side",
    "size_bias": "size bias, %",
}
_PERCENT_SIGNED = ("dx", "dy", "size_bias")
_SHOWN = 3


class BoxFormatName(StrEnum):
    """What the four numbers of a Hugging Face box are."""

    XYWH = "xywh"
    XYXY = "xyxy"


@dataclass(frozen=True, kw_only=True)
class TruthOptions:
    """Which drawn boxes are the truth, and how they are read."""

    truth: Annotated[
        Path, typer.Option("--truth", help="Drawn boxes: VOC XML folder, COCO JSON, CSV, YOLO, ...", show_default=False)
    ]
    truth_format: Annotated[
        str | None, typer.Option(help="Its format, where it cannot be told.", show_default=False)
    ] = None
    class_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="CLASS=LABEL[,LABEL...]",
            help="Labels that a class of the truth stands for, or a CSV file of lines class,label. May repeat.",
        ),
    ] = None
    split: Annotated[str | None, typer.Option(help="Part of the truth to use, of CSV and YOLO.")] = None
    inclusive: Annotated[bool, typer.Option(help="In a CSV, xmax and ymax are the last pixel inside.")] = False
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Images of truth that lacks them. Left out: where the label set was mined from, if sizes are needed.",
            show_default=False,
        ),
    ] = None
    voc_flavor: Annotated[
        VocFlavorName | None, typer.Option(help="How VOC truth counts corners; devkit unless it says.")
    ] = None
    box_format: Annotated[BoxFormatName | None, typer.Option(help="What Hugging Face boxes are; xywh unless told.")] = (
        None
    )

    def read(self, source: Path) -> Annotations:
        """The truth; images that an export renamed are looked for in `source`. Raises SourceError, ValueError."""
        from dap_core.datasets import read_annotations

        options = {
            "split": self.split,
            "inclusive": self.inclusive or None,
            "image_root": self.image_root,
            "flavor": self.voc_flavor and self.voc_flavor.value,
            "box_format": self.box_format and self.box_format.value,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return read_annotations(self.truth, self.truth_format, originals_root=source, **given)


@reports_errors
@takes_groups
def evaluate_boxes(
    label_set: Annotated[str, typer.Argument(help="A label set.", show_default=False)],
    drawn: TruthOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, all names included.")] = False,
) -> None:
    """Measure the boxes of a label set against drawn ones, beside what a centred box reaches.

    Boxes are compared per image and label. Classes of the truth are found by wnid or name; --map names others. The
    intervals (95%) come from resampling images. A box is right from IoU 0.5 on. MaxBoxAcc takes the best of 100
    thresholds, the same for all images; V2 averages IoU 0.3, 0.5 and 0.7 over all boxes cut there.

    [bold]dap evaluate-boxes labels/ --truth annotations/ --map kangaroo=wallaby[/bold]
    """
    from dap_core.evaluation import map_classes, match_truth, measure_overlaps, summarise_overlaps
    from services.places import open_label_set_at

    opened = open_label_set_at(label_set)
    settings = opened.manifest.settings
    with stderr.status(f"reading {drawn.truth}"):
        annotations = drawn.read(Path(settings.source))
        classes = map_classes(annotations, opened.classes, parse_class_map(drawn.class_map or []))
        matched = match_truth(opened, annotations, classes)
    metrics: Sequence[Metric] = ()
    if matched.report.num_pairs:
        with stderr.status(f"measuring {matched.report.num_pairs} images and labels"):
            metrics = summarise_overlaps(measure_overlaps(opened, matched))
    if as_json:
        measured = {metric.name: asdict(metric) for metric in metrics}
        print_json({"recipe": settings.recipe.name, "metrics": measured, "truth": asdict(matched.report)})
    else:
        if metrics:
            _print_metrics(metrics, settings.recipe.name)
        _print_report(matched.report)
    if not metrics:
        raise ValueError("no image of the label set has a drawn box of one of its labels; give --map or other truth")
    if not settings.store_cams:
        warn("the label set holds no maps, so MaxBoxAcc cannot be measured")


def _print_metrics(metrics: Sequence[Metric], recipe: str) -> None:
    by_name = {metric.name: metric for metric in metrics}
    rows = [
        (
            title,
            _format(name, metric.value),
            f"{_format(name, metric.low)} to {_format(name, metric.high)}",
            "" if metric.floor is None else _format(name, metric.floor),
        )
        for name, title in _NAMES.items()
        if (metric := by_name.get(name))
    ]
    stdout.print(make_table(f"boxes of recipe {recipe}", ("", "value", "95%", "centred box"), rows))


def _format(name: str, value: float) -> str:
    if name == "boxes_per_label":
        return f"{value:.2f}"
    if math.isnan(value):
        return "-"
    return f"{100 * value:+.1f}" if name in _PERCENT_SIGNED else f"{100 * value:.1f}%"


def _print_report(report: TruthReport) -> None:
    stdout.print(f"{report.num_pairs} pairs of image and label with truth, of {report.num_images} images", markup=False)
    if report.matched_by_name:
        text = f"{report.matched_by_name} images have another key in the truth and were found by the end of their path"
        stdout.print(text, markup=False, soft_wrap=True)
    if report.unmapped_classes:
        listed = [f"{name} ({number} boxes)" for name, number in report.unmapped_classes.items()]
        _warn_of("classes of the truth stand for no label", listed)
    _warn_of("problems in the truth", [f"{one.where}: {one.message}" for one in report.problems])
    for what, names in (
        ("images have no truth", report.images_without_truth),
        ("images of the truth are not in the label set", report.truth_without_image),
        ("images of the truth have an ambiguous name", report.ambiguous_truth),
        ("images with truth could not be labelled", report.failed_images),
        ("images have another size in the truth and are left out", report.other_size),
        ("labels have no drawn box", report.labels_without_box),
        ("drawn classes are no label of their image", report.boxes_without_label),
        ("boxes are difficult or crowds and do not count", report.ignored_boxes),
    ):
        _warn_of(what, names)


def _warn_of(what: str, names: Sequence[str]) -> None:
    if names:
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        warn(f"{len(names)} {what}: {'; '.join(names[:_SHOWN])}{more}")
