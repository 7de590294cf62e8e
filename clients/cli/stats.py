"""`dap stats`: a label set in numbers, beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.console import make_table, print_facts, print_json, reports_errors, stderr, stdout, warn

if TYPE_CHECKING:
    from rich.table import Table

    from dap_core.evaluation import LabelSetStatistics, Suspicion, SweepColumn, Sweeps
    from dap_core.evaluation.statistics import Histogram
    from dap_core.label_sets import LabelSet

_FEW_IMAGES = 100
_BAR = "▏▎▍▌▋▊▉█"
_BAR_WIDTH = 30


@reports_errors
def stats(
    label_set: Annotated[str, typer.Argument(help="A label set.", show_default=False)],
    plot: Annotated[Path | None, typer.Option(help="Also write figures into this folder.", show_default=False)] = None,
    worst: Annotated[int, typer.Option(help="How many of the images to look at first to list.", min=0)] = 10,
    recipe: Annotated[str, typer.Option(help="How the sweeps are cut: paper, official or aligned.")] = "paper",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Print box statistics, the sweeps of the paper's tables A1 and A2, and the images to look at first.

    The sweeps are cut from the stored maps in one pass, by recipe paper whatever mined the set: each CAM threshold
    alone and merged (A1), and NMS IoU 0.5 to 1.0 (A2), next to what the paper reports for ImageNet-1M. The list needs
    no truth: the classifier disagrees with the label, the scales disagree, a box fills the image, a low score.
    """
    from dap_core.evaluation import compute_statistics, compute_sweeps, find_suspicious
    from dap_core.recipes import get_recipe
    from services.places import open_label_set_at

    opened = open_label_set_at(label_set)
    with stderr.status(f"reading {label_set}"):
        statistics = compute_statistics(opened)
        settings = opened.manifest.settings
        sweeps = None
        if settings.store_cams:
            sweeps = compute_sweeps(opened, replace(get_recipe(recipe), cam=settings.mining_recipe.cam))
        suspicions = find_suspicious(opened)
    if as_json:
        print_json(
            {
                "statistics": asdict(statistics),
                "sweeps": sweeps and asdict(sweeps),
                "look_at_first": [asdict(item) for item in suspicions[:worst]],
                "num_suspicious": len(suspicions),
            }
        )
    else:
        _print_header(opened, statistics)
        if sweeps is None:
            warn("the label set holds no maps, so tables A1 and A2 cannot be cut")
        else:
            _print_sweeps(sweeps)
        _print_histograms(statistics)
        _print_suspicions(suspicions, worst, statistics.num_images)
    if plot is not None:
        _write_figures(statistics, sweeps, plot)


def _print_header(label_set: LabelSet, statistics: LabelSetStatistics) -> None:
    settings = label_set.manifest.settings
    width, height = statistics.mean_image_wh
    rows = [
        ("images", f"{statistics.num_images} of {statistics.num_labels} labels, mean {width:.0f} x {height:.0f} px"),
        ("failed", f"{statistics.num_failed}"),
        ("boxes", f"{statistics.num_boxes}, {statistics.mean_boxes_per_image:.3f} per image"),
        ("without a box", ", ".join(f"{n} {why}" for why, n in statistics.no_box_reasons.items()) or "none"),
        ("agreement", f"the label is the classifier's first choice on {statistics.top1_agreement:.1%} of the images"),
        ("made by", f"recipe {settings.recipe.name}, {settings.classifier}, {settings.engine} {settings.precision}"),
    ]
    print_facts(label_set.store.uri, rows)


def _print_sweeps(sweeps: Sweeps) -> None:
    name = sweeps.recipe.name
    stdout.print(_make_sweep_table(f"\nTable A1, recipe {name}: by CAM threshold, NMS IoU 0.8", sweeps.by_threshold))
    stdout.print(_make_sweep_table(f"\nTable A2, recipe {name}: by NMS IoU, all thresholds", sweeps.by_nms_iou))
    if sweeps.num_images < _FEW_IMAGES:
        stdout.print(f"[dim]{sweeps.num_images} images are few: expect the counts to differ by chance[/]")


def _make_sweep_table(title: str, columns: Sequence[SweepColumn]) -> Table:
    rows = [
        ("boxes per image", *(f"{one.boxes_per_image:.3f}" for one in columns)),
        ("  95% +-", *(f"{1.96 * one.standard_error:.3f}" for one in columns)),
        ("  paper", *(f"{one.paper.boxes_per_image:.3f}" for one in columns)),
        ("  difference", *(f"{one.boxes_per_image / one.paper.boxes_per_image - 1:+.1%}" for one in columns)),
        ("mean width px", *(f"{one.mean_width:.1f}" for one in columns)),
        ("  paper", *(f"{one.paper.mean_width:.1f}" for one in columns)),
        ("  of mean image", *(f"{one.width_share:.1%}" for one in columns)),
        ("mean height px", *(f"{one.mean_height:.1f}" for one in columns)),
        ("  paper", *(f"{one.paper.mean_height:.1f}" for one in columns)),
        ("  of mean image", *(f"{one.height_share:.1%}" for one in columns)),
    ]
    return make_table(title, ("", *(one.name for one in columns)), rows)


def _print_histograms(statistics: LabelSetStatistics) -> None:
    for title, histogram in (
        ("boxes per image", statistics.boxes_per_image),
        ("box side / image side, sqrt of areas", statistics.relative_size),
        ("box width / height", statistics.aspect),
        ("box score", statistics.scores),
    ):
        rows = [
            (name, _draw_bar(count, histogram), count)
            for name, count in zip(_name_bins(histogram), histogram.counts, strict=True)
        ]
        table = make_table(f"\n{title}", ("", "", ""), rows)
        table.show_header = False
        table.columns[1].justify = "left"
        stdout.print(table)


def _name_bins(histogram: Histogram) -> list[str]:
    """`0`, `1`, ..., `8+` for bins of one number each, else `low to high`, and `4 or more` for an open end."""
    bins = list(pairwise(histogram.edges))
    if all(high - low == 1 for low, high in bins):
        return [*(f"{low:g}" for low, _ in bins[:-1]), f"{bins[-1][0]:g}+"]
    return [f"{low:g} to {high:g}" if high < float("inf") else f"{low:g} or more" for low, high in bins]


def _draw_bar(count: int, histogram: Histogram) -> str:
    eighths = round(8 * _BAR_WIDTH * count / max(*histogram.counts, 1))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BAR[rest - 1] if rest else "")


def _print_suspicions(suspicions: Sequence[Suspicion], worst: int, num_images: int) -> None:
    stdout.print(f"\n[bold]look at first[/]: {len(suspicions)} of {num_images} images have a reason")
    for item in suspicions[:worst]:
        stdout.print(f"  {item.key}", markup=False, highlight=False, soft_wrap=True)
        for reason in item.reasons:
            stdout.print(f"    {reason}", markup=False, highlight=False, style="dim", soft_wrap=True)


def _write_figures(statistics: LabelSetStatistics, sweeps: Sweeps | None, folder: Path) -> None:
    """Writes the figures; raises DestinationError when the folder cannot take them."""
    from dap_core.errors import DestinationError
    from dap_core.plots import plot_histograms, plot_sweeps

    try:
        plot_histograms(statistics, folder / "histograms.png")
        if sweeps is not None:
            plot_sweeps(sweeps, folder / "sweeps.png")
    except OSError as error:
        raise DestinationError(f"no figures can be written into {folder}: {error.strerror or error}") from error
    stderr.print(f"figures are in {folder}", markup=False)
