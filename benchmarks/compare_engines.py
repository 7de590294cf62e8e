"""How far each engine's boxes are from those of the reference, torch in float32 one image at a time.

    python benchmarks/compare_engines.py ../shared/data out/engines

Writes docs/engines.md. What is mined stays in the second folder. About twenty-five minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from box_quality_data import QualitySet, make_kangaroo, make_tiny, run_dap

from dap_core.boxes import compute_iou
from dap_core.evaluation import Metric, compare_overlaps, measure_overlaps, summarise_overlaps
from dap_core.label_sets import LabelSet, LabelSetRow, open_label_set
from dap_core.merging import MergedMap, place_cams
from dap_core.types import FloatArray

PAGE = Path(__file__).parents[1] / "docs" / "engines.md"
MARKER = "<!-- below: made by benchmarks/compare_engines.py -->"
REFERENCE = ("torch", "float32")
ENGINES = (("openvino", "float32"), ("torch", "bfloat16"), ("openvino", "bfloat16"))
SAME_IOU = 0.99
"""Boxes that overlap by as much are the same; half a pixel on a box of 200 px is 0.995."""


@dataclass(frozen=True)
class Closeness:
    """One engine against the reference, on the same images."""

    engine: str
    num_images: int
    map_difference: FloatArray
    """Largest difference of the normalised maps of each image."""
    share_same_boxes: float
    """Images with as many boxes, each with its counterpart."""
    share_same_count: float
    share_count_within_one: float
    boxes_per_image: tuple[float, float]
    """The reference's and the engine's."""
    matched_iou: FloatArray
    """Best IoU of every box of the reference."""


def mine(images: Path, folder: Path, engine: str, precision: str) -> LabelSet:
    """The label set of one engine, mined unless it is there."""
    if not (folder / "manifest.json").exists():
        print(f"{folder.name}: {engine} {precision}", file=sys.stderr)
        run_dap("mine", str(images), "--out", str(folder), "--engine", engine, "--precision", precision)
    return open_label_set(folder)


def compare(reference: LabelSet, other: LabelSet) -> Closeness:
    """Every image of both label sets."""
    ours = {row.key: row for row in other.rows()}
    rows = [(row, ours[row.key]) for row in reference.rows()]
    matched = [match_boxes(one, two) for one, two in rows]
    counts = np.array([[len(one.boxes), len(two.boxes)] for one, two in rows])
    gaps = np.abs(counts[:, 0] - counts[:, 1])
    same = [gap == 0 and bool((iou >= SAME_IOU).all()) for gap, iou in zip(gaps, matched, strict=True)]
    settings = other.manifest.settings
    return Closeness(
        engine=f"{settings.engine} {settings.precision}",
        num_images=len(rows),
        map_difference=np.array([compare_maps(one, two) for one, two in rows], np.float32),
        share_same_boxes=float(np.mean(same)),
        share_same_count=float(np.mean(gaps == 0)),
        share_count_within_one=float(np.mean(gaps <= 1)),
        boxes_per_image=(float(counts[:, 0].mean()), float(counts[:, 1].mean())),
        matched_iou=np.array(list(chain.from_iterable(matched)), np.float32),
    )


def match_boxes(one: LabelSetRow, two: LabelSetRow) -> FloatArray:
    """Best IoU of each box of the first with one of the second."""
    ious = compute_iou(one.boxes.boxes, two.boxes.boxes)
    return ious.max(axis=1, initial=0).astype(np.float32)


def compare_maps(one: LabelSetRow, two: LabelSetRow) -> float:
    """The largest difference of the two normalised maps of the image's first label."""
    merged = [
        place_cams([cam for cam in row.cams if cam.label == row.labels[0]], row.size_wh, 96) for row in (one, two)
    ]
    values = [item.values for item in merged if isinstance(item, MergedMap)]
    return float(np.abs(values[0] - values[1]).max()) if len(values) == 2 else float(len(values))


def format_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_closeness(several: list[Closeness]) -> str:
    """The table of maps and boxes."""
    rows = []
    for one in several:
        low, high = one.boxes_per_image
        rows.append(
            [
                one.engine,
                f"{np.median(one.map_difference):.1e}, {one.map_difference.max():.1e}",
                f"{one.share_same_boxes:.1%}",
                f"{one.share_same_count:.1%}, {one.share_count_within_one:.1%}",
                f"{high:.3f} ({high / low - 1:+.2%})",
                f"{one.matched_iou.mean():.4f}",
                ", ".join(f"{np.percentile(one.matched_iou, share):.3f}" for share in (1, 5, 10, 25, 50)),
            ]
        )
    header = ["engine", "map difference: median, largest", "same boxes", "same count, within one", "boxes per image"]
    return format_table([*header, "mean matched IoU", "its percentiles 1, 5, 10, 25, 50"], rows)


def describe_quality(sets: list[QualitySet], work: Path) -> str:
    """MaxBoxAccV2 of the reference and of the fastest engine, and their paired difference."""
    rows = []
    for data in sets:
        found: list[Metric] = []
        overlaps = []
        for engine, precision in (REFERENCE, ENGINES[-1]):
            label_set = mine(data.images, work / f"{data.name}-{engine}-{precision}", engine, precision)
            overlaps.append(measure_overlaps(label_set, data.match(label_set)))
            found += [one for one in summarise_overlaps(overlaps[-1]) if one.name == "max_box_acc_v2_own"]
        [gap] = [one for one in compare_overlaps(*overlaps[::-1]) if one.name == "max_box_acc_v2_own"]
        values = [f"{100 * one.value:.2f}" for one in found]
        interval = f"{100 * gap.value:+.2f} ({100 * gap.low:+.2f} to {100 * gap.high:+.2f})"
        rows.append([data.name, *values, interval])
    return format_table(["MaxBoxAccV2", " ".join(REFERENCE), " ".join(ENGINES[-1]), "difference in points"], rows)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with imagenet-320, kangaroo and tiny-imagenet.tar.gz")
    parser.add_argument("work", type=Path, help="keeps what is mined")
    arguments = parser.parse_args()
    data, work = arguments.data, arguments.work
    images = data / "imagenet-320"
    reference = mine(images, work / "imagenet-320-torch-float32", *REFERENCE)
    found = [compare(reference, mine(images, work / f"imagenet-320-{'-'.join(one)}", *one)) for one in ENGINES]
    parts = [
        "## Maps and boxes",
        f"{found[0].num_images} ImageNet images, recipe aligned, against torch float32.",
        describe_closeness(found),
        "## Box quality",
        describe_quality([make_kangaroo(data, work), make_tiny(data, work, "val")], work),
    ]
    head = PAGE.read_text(encoding="utf-8").split(MARKER)[0] if PAGE.exists() else "# Engines\n\n"
    PAGE.write_text("\n\n".join([head.rstrip(), MARKER, *parts]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
