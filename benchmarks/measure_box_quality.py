"""How good the boxes of each recipe are: writes docs/box-quality.md.

    python benchmarks/measure_box_quality.py ../shared/data out/box-quality

Mines each data set once, cuts it again with every recipe, and measures against drawn boxes. What is mined stays in the
second folder, where the next run finds it. About forty minutes on two cores, eight of them for training a
small ResNet (`train_small_resnet.py`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from box_quality_data import QualitySet, make_coco, make_kangaroo, make_tiny, make_tiny_with_resnet

from dap_core.evaluation import (
    Difference,
    Metric,
    Overlaps,
    TruthReport,
    compare_overlaps,
    measure_overlaps,
    summarise_overlaps,
)
from dap_core.label_sets import open_label_set
from dap_core.label_sets.recutting import ShardRecutter, plan_recut
from dap_core.label_sets.runner import run_plan, start_label_set
from dap_core.recipes import ALIGNED, RECIPES, Recipe
from dap_core.stores import LocalStore

PAGE = Path(__file__).parents[1] / "docs" / "box-quality.md"
MARKER = "<!-- below: made by benchmarks/measure_box_quality.py -->"
ROWS = {
    "max_box_acc_v2_own": "MaxBoxAccV2, own box rule",
    "max_box_acc_v2_tight": "MaxBoxAccV2, tight rectangle",
    "max_box_acc_own": "MaxBoxAcc, own box rule",
    "max_box_acc_tight": "MaxBoxAcc, tight rectangle",
    "top_box_corloc": "CorLoc, first box",
    "any_box_corloc": "CorLoc, any box",
    "gt_known_loc": "GT-known localisation",
    "top1_loc": "top-1 localisation",
    "average_recall": "average recall",
    "boxes_per_label": "boxes per label",
    "dx": "dx, % of shorter side",
    "dy": "dy, % of shorter side",
    "size_bias": "size bias of the first box, %",
}


@dataclass(frozen=True)
class Measured:
    """One data set cut by several recipes."""

    name: str
    report: TruthReport
    overlaps: dict[str, Overlaps]

    def summarise(self) -> dict[str, dict[str, Metric]]:
        """Metrics by recipe and name."""
        return {
            recipe: {metric.name: metric for metric in summarise_overlaps(overlaps)}
            for recipe, overlaps in self.overlaps.items()
        }


def measure(data: QualitySet, work: Path, recipes: dict[str, Recipe]) -> Measured:
    """Mines `data`, cuts it with each recipe at the passes that were run, and measures."""
    mined = data.mine(work)
    truth = data.match(mined)
    cam = mined.manifest.settings.recipe.cam
    overlaps = {}
    for name, recipe in recipes.items():
        folder = work / "recut" / data.name / name.replace(" ", "-").replace("/", "-")
        plan = start_label_set(LocalStore(folder), *plan_recut(mined, replace(recipe, cam=cam), keep_images=False))
        make_shard = ShardRecutter(mined, LocalStore(folder), replace(recipe, cam=cam), keep_images=False)
        run_plan(LocalStore(folder), plan, make_shard)
        overlaps[name] = measure_overlaps(open_label_set(folder), truth)
        print(f"{data.name}: {name}", file=sys.stderr)
    return Measured(data.name, truth.report, overlaps)


def list_ablations() -> dict[str, Recipe]:
    """`aligned`, and `aligned` with one of its choices taken back."""
    base = ALIGNED.mining
    changes = {
        "lowest cell is 0": {"floor_percentile": 0.0},
        "rectangle of eqs. 3-6": {"tightness": 0.0},
        "bounding rectangle": {"tightness": 1.0},
        "half-area rule": {"min_area_ratio": 0.5},
        "thresholds of the paper": {"thresholds": (0.2, 0.3, 0.4, 0.5)},
        "NMS keeps the higher score": {"nms_order": "score"},
    }
    variants = {name: replace(ALIGNED, name=name, mining=replace(base, **change)) for name, change in changes.items()}
    return {"aligned": ALIGNED, **variants}


def format_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_value(name: str, value: float) -> str:
    """A share in percent, a count as it is."""
    if name == "boxes_per_label":
        return f"{value:.2f}"
    return f"{100 * value:+.1f}" if name in ("dx", "dy", "size_bias") else f"{100 * value:.1f}"


def format_metric(metric: Metric) -> str:
    """Value and interval."""
    low, high = (format_value(metric.name, side) for side in (metric.low, metric.high))
    return f"{format_value(metric.name, metric.value)} ({low} to {high})"


def describe_metrics(measured: Measured) -> str:
    """All metrics of one data set, a column per recipe and one for the centred box."""
    by_recipe = measured.summarise()
    rows = []
    for name, title in ROWS.items():
        metrics = [metrics[name] for metrics in by_recipe.values()]
        floor = metrics[0].floor
        rows.append([title, *map(format_metric, metrics), "" if floor is None else format_value(name, floor)])
    return format_table(["", *by_recipe, "centred box"], rows)


def describe_lead(measured: Measured) -> str:
    """`aligned` minus each other recipe, paired."""
    names = ("max_box_acc_v2_own", "max_box_acc_v2_tight", "any_box_corloc", "top_box_corloc", "average_recall")
    rows = []
    for other in measured.overlaps:
        if other != "aligned":
            found = compare_overlaps(measured.overlaps["aligned"], measured.overlaps[other])
            by_name = {difference.name: difference for difference in found}
            rows.append([f"aligned - {other}", *(format_difference(by_name[name]) for name in names)])
    return format_table(["points", *(ROWS[name] for name in names)], rows)


def format_difference(difference: Difference) -> str:
    """Points with their interval."""
    value, low, high = (f"{100 * side:+.1f}" for side in (difference.value, difference.low, difference.high))
    return f"{value} ({low} to {high})"


def describe_report(report: TruthReport) -> str:
    """What was measured and what was left out."""
    left_out = {
        "images without truth": len(report.images_without_truth),
        "truth without image": len(report.truth_without_image),
        "failed images": len(report.failed_images),
        "other size": len(report.other_size),
        "labels without box": len(report.labels_without_box),
        "boxes without label": len(report.boxes_without_label),
        "boxes of unmapped classes": sum(report.unmapped_classes.values()),
        "problems in the truth": len(report.problems),
    }
    listed = ", ".join(f"{number} {what}" for what, number in left_out.items() if number) or "nothing"
    return f"{report.num_pairs} pairs of image and label from {report.num_images} images. Left out: {listed}."


def describe_ablations(several: list[Measured]) -> str:
    """What each choice of `aligned` is worth on the data it was chosen on."""
    names = ("max_box_acc_v2_own", "any_box_corloc", "top_box_corloc", "average_recall", "boxes_per_label")
    summaries = [measured.summarise() for measured in several]
    rows = [
        [recipe, *(format_value(name, summary[recipe][name].value) for summary in summaries for name in names)]
        for recipe in summaries[0]
    ]
    return format_table(["", *(f"{one.name}: {ROWS[name]}" for one in several for name in names)], rows)


def describe_offsets(several: dict[str, Measured]) -> str:
    """Signed offsets of each recipe, per classifier."""
    rows = []
    for title, measured in several.items():
        for recipe, metrics in measured.summarise().items():
            shown = [format_metric(metrics[name]) for name in ("dx", "dy", "size_bias", "max_box_acc_v2_own")]
            rows.append([title, recipe, *shown])
    return format_table(["classifier, images", "recipe", "dx, %", "dy, %", "size bias, %", "MaxBoxAccV2"], rows)


def train_resnet(work: Path, tiny_train: Path) -> Path:
    """The folder of the small ResNet, trained unless it is there."""
    folder = work / "resnet18"
    if not (folder / "classes.csv").exists():
        script = Path(__file__).with_name("train_small_resnet.py")
        subprocess.run([sys.executable, str(script), str(tiny_train), str(folder)], check=True, stdout=sys.stderr)
    return folder


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with kangaroo, coco128 and tiny-imagenet.tar.gz")
    parser.add_argument("work", type=Path, help="keeps what is mined")
    arguments = parser.parse_args()
    data, work = arguments.data, arguments.work
    reported = [make_kangaroo(data, work), make_tiny(data, work, "val"), make_coco(data, work, "train")]
    chosen_on = [make_tiny(data, work, "train", num_per_class=5), make_coco(data, work, "val")]
    resnet = train_resnet(work, work / "tiny-imagenet" / "train")
    by_resnet = make_tiny_with_resnet(data, work, resnet)
    measured = [measure(one, work, RECIPES) for one in reported]
    ablations = [measure(one, work, list_ablations()) for one in chosen_on]
    offsets = {f"lite0, {one.name}": one for one in measured}
    offsets["ResNet-18, tiny-imagenet-train, 20 classes, scales 128 and 256"] = measure(by_resnet, work, RECIPES)
    parts = []
    for one in measured:
        parts += [f"### {one.name}", describe_report(one.report), describe_metrics(one), describe_lead(one)]
    parts += ["## Offsets, by classifier", describe_offsets(offsets)]
    parts += ["## What each choice of `aligned` is worth, on the data it was chosen on", describe_ablations(ablations)]
    head = PAGE.read_text(encoding="utf-8").split(MARKER)[0] if PAGE.exists() else "# Box quality\n\n"
    PAGE.write_text(
        "\n\n".join([head.rstrip(), MARKER, "## Recipes against drawn boxes", *parts]) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
