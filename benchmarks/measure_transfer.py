"""Does pre-training on pseudo boxes help on real photographs? Measured, and written to `benchmarks/transfer.md`.

Boxes are mined from IMAGES (one folder per ImageNet class), a detector is pre-trained on them, and fine-tuned on ten
drawn images of DRAWN, once from the pre-trained detector (DAP), once from the classifier alone (CLS); the last 80
images of DRAWN, by name, are what both are measured on, and no training sees them.
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from clients.cli.four_steps import ARMS, Comparison, compare_arms, run_dap

NUM_TEST, SHOTS = 80, 10
PAGE = Path(__file__).with_name("transfer.md")


def write_lists(drawn: Path, out: Path) -> tuple[Path, Path]:
    """Lists of the images to draw from and of the test images."""
    names = sorted(path.name for path in (drawn / "images").iterdir())
    pool, test = out / "pool.txt", out / "test.txt"
    pool.write_text("\n".join(names[:-NUM_TEST]) + "\n")
    test.write_text("\n".join(names[-NUM_TEST:]) + "\n")
    return pool, test


def main() -> None:
    """Runs the steps that are not done yet in OUT and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("drawn", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/transfer"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 150])
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    pool, test = write_lists(options.drawn, out)
    mined = run_dap("mine", str(options.images), "--out", str(out / "labels"))
    trained = run_dap("pretrain", str(out / "labels"), "--out", str(out / "pretrained"))
    comparisons = {}
    for num_steps in options.steps:
        comparison = compare_arms(
            out / f"{num_steps}-steps",
            pretrained=out / "pretrained",
            classifier=["lite0"],
            data=["--data", str(options.drawn), "--images-from", str(pool)],
            test=["--data", str(options.drawn), "--images-from", str(test)],
            shots=SHOTS,
            seeds=range(options.seeds),
            settings=[f"num_steps={num_steps}"],
        )
        comparison.print(f"{SHOTS} drawn images, {num_steps} steps, {NUM_TEST} test images")
        comparisons[num_steps] = comparison
    (out / "results.json").write_text(json.dumps({step: one.results for step, one in comparisons.items()}))
    PAGE.write_text(write_page(mined, trained, comparisons))


def write_page(mined: dict[str, object], trained: dict[str, object], comparisons: dict[int, Comparison]) -> str:
    """The page in Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision"))
    lines = [
        "# Fewer drawn boxes, on photographs",
        "",
        "Written by `PYTHONPATH=. python benchmarks/measure_transfer.py IMAGES DRAWN`: mine, pre-train, fine-tune on",
        "ten drawn images, measure. CLS starts from the ImageNet classifier alone, DAP from the detector that was",
        "pre-trained on the mined boxes. Both see the same images in the same order, with the same settings, for each",
        "seed. The test images are the last 80 by name; no training saw them.",
        "",
        f"{mined['ok']} images mined, {mined['boxes']} boxes; pre-trained for {trained['steps']} steps, trained: "
        f"{trained['trainable']} ({trained['regime']}).",
        "",
        "| steps of fine-tuning | arm | AP50, each seed | AP50 | AP |",
        "|---|---|---|---|---|",
    ]
    for num_steps, comparison in comparisons.items():
        for arm in ARMS:
            each = ", ".join(f"{100 * result['coco']['ap50']:.1f}" for result in comparison.results[arm])
            means = " | ".join(f"{comparison.average(arm, name):.1f}" for name in ("ap50", "ap"))
            lines.append(f"| {num_steps} | {arm} | {each} | {means} |")
    lines += ["", f"Python {platform.python_version()}, {versions}, {platform.machine()}, two cores, no GPU.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
