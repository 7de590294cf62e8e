"""What explains the difference between our box statistics and the paper's: writes docs/paper-statistics.md.

    dap mine ../shared/data/imagenet-320 --out lite0
    dap mine ../shared/data/imagenet-320 --out lite1 --classifier lite1
    python benchmarks/explain_statistics.py lite0 --others lite1

Changes one choice at a time by re-cutting the stored maps of the first label set; the others differ in their
classifier.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from dap_core.evaluation import SweepColumn, Sweeps, compute_sweeps
from dap_core.label_sets import open_label_set
from dap_core.passes import CamConfig
from dap_core.recipes import Recipe

PAGE = Path(__file__).parents[1] / "docs" / "paper-statistics.md"
MARKER = "<!-- below: made by benchmarks/explain_statistics.py -->"


def list_variants(base: Recipe) -> dict[str, Recipe]:
    """The recipe with one choice changed at a time, by name."""
    sides = base.cam.short_sides
    mining = {
        "grid of 24 points": replace(base.mining, grid_short_side=24),
        "grid of 48 points": replace(base.mining, grid_short_side=48),
        "grid of 144 points": replace(base.mining, grid_short_side=144),
        "grid of 288 points": replace(base.mining, grid_short_side=288),
        "weights M + 0.22": replace(base.mining, weight_bias=0.22),
        "4-connected": replace(base.mining, connectivity=4),
        "NMS keeps the higher score": replace(base.mining, nms_order="score"),
    }
    passes = {
        **{f"only short side {side}": replace(base.cam, short_sides=(side,)) for side in sides},
        "not mirrored": CamConfig(short_sides=sides, mirror=False),
    }
    variants = {name: replace(base, mining=config) for name, config in mining.items()}
    return variants | {name: replace(base, cam=config) for name, config in passes.items()}


def format_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def all_columns(sweeps: Sweeps) -> tuple[SweepColumn, ...]:
    """The eleven columns of both tables."""
    return (*sweeps.by_threshold, *sweeps.by_nms_iou)


def describe_counts(sweeps: Sweeps) -> str:
    """Ours beside the paper's, with the interval that the choice of images leaves."""
    columns = all_columns(sweeps)
    names = [f"tau {one.name}" if one in sweeps.by_threshold else f"IoU {one.name}" for one in columns]
    rows = [
        ["boxes per image", *(f"{one.boxes_per_image:.3f}" for one in columns)],
        ["95% interval of ours, +-", *(f"{1.96 * one.standard_error:.3f}" for one in columns)],
        ["paper", *(f"{one.paper.boxes_per_image:.3f}" for one in columns)],
        ["difference", *(f"{one.boxes_per_image / one.paper.boxes_per_image - 1:+.1%}" for one in columns)],
        ["mean width, px", *(f"{one.mean_width:.1f}" for one in columns)],
        ["of the mean image width", *(f"{one.width_share:.1%}" for one in columns)],
        ["paper, px", *(f"{one.paper.mean_width:.1f}" for one in columns)],
        ["mean height, px", *(f"{one.mean_height:.1f}" for one in columns)],
        ["of the mean image height", *(f"{one.height_share:.1%}" for one in columns)],
        ["paper, px", *(f"{one.paper.mean_height:.1f}" for one in columns)],
    ]
    return format_table(["", *names], rows)


def describe_variant(name: str, sweeps: Sweeps) -> list[str]:
    """One line of the second table: difference to the paper per column, and the size shares of `multi`."""
    differences = [f"{one.boxes_per_image / one.paper.boxes_per_image - 1:+.1%}" for one in all_columns(sweeps)]
    multi = sweeps.by_threshold[-1]
    return [name, *differences, f"{multi.width_share:.1%}", f"{multi.height_share:.1%}"]


def main() -> None:
    """Measures all variants and replaces the measured part of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label_set", type=Path)
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="the same images, other classifiers")
    arguments = parser.parse_args()
    label_set = open_label_set(arguments.label_set)
    base = label_set.manifest.settings.recipe
    sweeps = compute_sweeps(label_set)
    rows = [describe_variant(f"**{base.name}, {label_set.manifest.settings.classifier}**", sweeps)]
    rows += [describe_variant(name, compute_sweeps(label_set, recipe)) for name, recipe in list_variants(base).items()]
    for path in arguments.others:
        other = open_label_set(path)
        rows.append(describe_variant(f"classifier {other.manifest.settings.classifier}", compute_sweeps(other)))
    names = [f"tau {one.name}" for one in sweeps.by_threshold] + [f"IoU {one.name}" for one in sweeps.by_nms_iou]
    width, height = sweeps.mean_image_wh
    measured = "\n\n".join(
        [
            MARKER,
            f"## Measured: {sweeps.num_images} images, mean size {width:.0f} x {height:.0f} px",
            describe_counts(sweeps),
            "## One choice changed at a time: boxes per image against the paper, size shares of `multi`",
            format_table(["", *names, "width", "height"], rows),
        ]
    )
    text = PAGE.read_text().split(MARKER)[0].rstrip() if PAGE.exists() else "# Box statistics beside the paper's"
    PAGE.write_text(f"{text}\n\n{measured}\n")
    print(measured)


if __name__ == "__main__":
    main()
