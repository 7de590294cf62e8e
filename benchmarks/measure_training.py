"""How fast training is, and whether pre-training on pseudo boxes helps: measured, and written to `training.md`.

Boxes are mined from IMAGES (one folder per ImageNet class), a detector is pre-trained on them, and fine-tuned on ten
drawn images of DRAWN, once from the pre-trained detector (DAP), once from the classifier alone (CLS); the last 80
images of DRAWN, by name, are what both are measured on, and no training sees them. SYNTHETIC is the folder that
`make e2e` wrote. What is in OUT already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clients.cli.four_steps import ARMS, Comparison, compare_arms, run_dap

NUM_TEST, SHOTS = 80, 10
PAGE = Path(__file__).with_name("training.md")
Values = dict[str, Any]


def write_lists(drawn: Path, out: Path) -> tuple[Path, Path]:
    """Lists of the images to draw from and of the test images."""
    names = sorted(path.name for path in (drawn / "images").iterdir())
    pool, test = out / "pool.txt", out / "test.txt"
    pool.write_text("\n".join(names[:-NUM_TEST]) + "\n")
    test.write_text("\n".join(names[-NUM_TEST:]) + "\n")
    return pool, test


def measure_once(path: Path, measure: Any) -> Values:
    """What `measure` gives, kept in a file."""
    if not path.exists():
        path.write_text(json.dumps(measure(), indent=1))
    values: Values = json.loads(path.read_text())
    return values


def compare(options: argparse.Namespace, num_steps: int) -> Values:
    """AP of both arms for each seed."""
    pool, test = write_lists(options.drawn, options.out)
    comparison = compare_arms(
        options.out / f"{num_steps}-steps",
        pretrained=options.out / "pretrained",
        classifier=["lite0"],
        data=["--data", str(options.drawn), "--images-from", str(pool)],
        test=["--data", str(options.drawn), "--images-from", str(test)],
        shots=SHOTS,
        seeds=range(options.seeds),
        settings=[f"num_steps={num_steps}"],
    )
    comparison.print(f"{SHOTS} drawn images, {num_steps} steps, {NUM_TEST} test images")
    return comparison.results


def write_page(speed: Values, mined: Values, trained: Values, comparisons: dict[int, Values], e2e: Values) -> str:
    """The page in Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "opencv-python-headless"))
    return "\n".join(
        [
            "# Training",
            "",
            "Written by `PYTHONPATH=. python benchmarks/measure_training.py IMAGES DRAWN SYNTHETIC`. Python "
            f"{platform.python_version()}, {versions}, {platform.machine()}, {os.cpu_count()} cores, no GPU.",
            "",
            *_write_speed(speed),
            *_write_transfer(mined, trained, comparisons),
            *_write_synthetic(e2e),
        ]
    )


def _write_speed(speed: Values) -> list[str]:
    step, reading, recipe = speed["step"], speed["reading"], speed["recipe"]
    ratios = ", ".join(f"{ratio:.3f}" for ratio in step["ratios"])
    reading_ratios = ", ".join(f"{ratio:.2f}" for ratio in reading["ratios"])
    return [
        "## A step",
        "",
        f"Recipe {recipe['name']}, {recipe['architecture']} over EfficientNet-Lite0, batch {recipe['batch_size']}, "
        f"short sides {recipe['augment.short_sides']}, {step['precision']}. The plain loop is one around torchvision's "
        "model with the same batches decoded in memory; ours reads and decodes them from the label set meanwhile. They "
        f"take turns, {step['num_rounds']} rounds of {step['num_steps']} timed steps.",
        "",
        "| | a step | / plain, median (each round) | waiting for data |",
        "|---|---|---|---|",
        f"| plain loop | {step['plain_s']:.3f} s | 1.00 | |",
        f"| ours | {step['ours_s']:.3f} s | {step['ratio']:.3f} ({ratios}) | {step['waiting']:.1%} |",
        "",
        "## Reading",
        "",
        f"Decoding and resizing the same images in {reading['num_workers']} processes, {reading['num_rounds']} rounds "
        f"of {reading['num_images']} images: bare, from encoded images in memory, and as our batches from the label "
        "set, augmented.",
        "",
        "| | images/s | / bare, median (each round) | memory of all processes, first to last round |",
        "|---|---|---|---|",
        f"| bare | {reading['bare_images_per_s']:.0f} | 1.00 | |",
        f"| ours | {reading['images_per_s']:.0f} | {reading['ratio']:.2f} ({reading_ratios}) | "
        f"{reading['first_mib']:.0f} to {reading['last_mib']:.0f} MiB |",
        "",
    ]


def _write_transfer(mined: Values, trained: Values, comparisons: dict[int, Values]) -> list[str]:
    lines = [
        "## Fewer drawn boxes, on photographs",
        "",
        "CLS starts from the ImageNet classifier alone, DAP from a detector that was pre-trained on mined boxes. Both "
        f"are fine-tuned on the same {SHOTS} drawn images with the same settings for each seed; a seed draws other "
        f"images, too. The {NUM_TEST} test images are the last by name; no training saw them.",
        "",
        f"{mined['ok']} images mined, {mined['boxes']} boxes; pre-trained for {trained['steps']} steps, trained: "
        f"{trained['trainable']} ({trained['regime']}).",
        "",
        "| steps of fine-tuning | arm | AP50, each seed | AP50 | AP |",
        "|---|---|---|---|---|",
    ]
    for num_steps, results in comparisons.items():
        comparison = Comparison(results)
        for arm in ARMS:
            each = ", ".join(f"{100 * result['coco']['ap50']:.1f}" for result in results[arm])
            means = " | ".join(f"{comparison.average(arm, name):.1f}" for name in ("ap50", "ap"))
            lines.append(f"| {num_steps} | {arm} | {each} | {means} |")
    return [*lines, "", "A few seeds are a hint, no result with an interval.", ""]


def _write_synthetic(e2e: Values) -> list[str]:
    comparison = Comparison(e2e["results"])
    rows = [
        f"| {arm} | " + " | ".join(f"{comparison.average(arm, name):.1f}" for name in ("ap50", "ap")) + " |"
        for arm in ARMS
    ]
    return [
        "## The four steps on a synthetic set",
        "",
        f"`make e2e`, one seed, {e2e['seconds'] / 60:.1f} minutes in all. The classifier is a last layer on the "
        "features of EfficientNet-Lite0; 10 drawn images of each class.",
        "",
        "| arm | AP50 | AP |",
        "|---|---|---|",
        *rows,
        "",
    ]


def main() -> None:
    """Runs the steps that are not done yet in OUT and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("drawn", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 150])
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    labels = str(out / "labels")
    mined = measure_once(out / "mined.json", lambda: run_dap("mine", str(options.images), "--out", labels))
    pretrained = str(out / "pretrained")
    trained = measure_once(out / "trained.json", lambda: run_dap("pretrain", labels, "--out", pretrained))
    speed = measure_once(out / "speed.json", lambda: run_dap("bench", "train", labels, "--rounds", "5"))
    comparisons = {
        num_steps: measure_once(out / f"{num_steps}-steps.json", lambda steps=num_steps: compare(options, steps))
        for num_steps in options.steps
    }
    e2e: Values = json.loads((options.synthetic / "results.json").read_text())
    PAGE.write_text(write_page(speed, mined, trained, comparisons, e2e))


if __name__ == "__main__":
    main()
