"""Measures average precision on 5,000 images with 100 detections each, beside pycocotools, and writes evaluation.md.

    PYTHONPATH=. python benchmarks/measure_evaluation.py

Each contestant runs in a process of its own on the same made-up boxes, in turn. A few minutes on two cores, which
should have nothing else to do.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

import numpy as np
from measure_mining import describe_machine

from dap_core.evaluation.coco_precision import (
    compute_coco_precision,
    list_categories,
    list_detections,
    list_images,
    list_truth,
)
from dap_core.evaluation.detection_truth import DetectionTruth, DrawnBoxes
from dap_core.evaluation.voc_precision import compute_voc_precision
from dap_core.types import ClassList, PredictedImage

PACKAGES = ("faster-coco-eval", "pycocotools")
NUM_CLASSES, NUM_DRAWN = 80, 7
CONTESTANTS = {
    "ours": "`dap evaluate`: COCO's figures (faster-coco-eval, classes in groups)",
    "pycocotools": "pycocotools: the same figures",
    "voc": "`dap evaluate`: VOC's figures",
}


def make_boxes(num_images: int, num_found: int) -> tuple[dict[str, PredictedImage], DetectionTruth]:
    """Seven drawn boxes an image in 80 classes, as on COCO; half of the detections lie near one."""
    rng = np.random.default_rng(0)
    images, found = {}, {}
    for index in range(num_images):
        sides = np.exp(rng.uniform(np.log(8), np.log(300), (NUM_DRAWN, 2)))
        corners = rng.uniform(0, 320, (NUM_DRAWN, 2))
        boxes = np.concatenate([corners, corners + sides], axis=1)
        labels = rng.integers(0, NUM_CLASSES, NUM_DRAWN)
        near = rng.integers(0, NUM_DRAWN, num_found)
        spread = np.tile(sides[near], 2) * np.where(np.arange(num_found) % 2, 0.08, 0.6)[:, None]
        detected = boxes[near] + rng.normal(0, 1, (num_found, 4)) * spread
        detected = np.concatenate([detected[:, :2], np.maximum(detected[:, 2:], detected[:, :2] + 1)], axis=1)
        classes = np.where(rng.random(num_found) < 0.7, labels[near], rng.integers(0, NUM_CLASSES, num_found))
        scores = np.sort(rng.random(num_found).astype(np.float32))[::-1].copy()
        key = f"{index:06}.jpg"
        images[key] = DrawnBoxes(boxes.astype(np.float32), labels, np.zeros(NUM_DRAWN, bool))
        found[key] = PredictedImage((640, 640), 1, detected.astype(np.float32), classes, scores)
    return found, DetectionTruth(ClassList.from_pairs((f"x{i}", f"class {i}") for i in range(NUM_CLASSES)), images)


def run_pycocotools(found: dict[str, PredictedImage], truth: DetectionTruth) -> float:
    """AP by pycocotools, its input made from the same arrays."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    drawn, detected = COCO(), COCO()
    with redirect_stdout(io.StringIO()):
        for coco, annotations in ((drawn, list_truth(truth)), (detected, list_detections(found, truth))):
            coco.dataset = {"images": list_images(truth), "categories": list_categories(truth)}
            coco.dataset["annotations"] = annotations
            coco.createIndex()
        evaluator = COCOeval(drawn, detected, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return float(evaluator.stats[0])


def run_contestant(name: str, num_images: int, num_found: int) -> dict[str, float]:
    """Seconds from arrays to figures, the first figure, and what memory grew by at its peak, in MiB."""
    found, truth = make_boxes(num_images, num_found)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    if name == "ours":
        figure = compute_coco_precision(found, truth).ap
    elif name == "voc":
        figure = compute_voc_precision(found, truth).area
    else:
        figure = run_pycocotools(found, truth)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "figure": figure, "peak_mib": peak / 1024, "grown_mib": (peak - before) / 1024}


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    """One contestant in a process of its own."""
    sizes = [str(options.images), str(options.found)]
    command = [sys.executable, __file__, "--contestant", name, "--images", sizes[0], "--found", sizes[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    values: dict[str, float] = json.loads(done.stdout)
    return values


def make_report(options: argparse.Namespace, rounds: list[dict[str, dict[str, float]]]) -> str:
    """The page, as Markdown."""
    lines = [
        "# Average precision",
        "",
        f"`PYTHONPATH=. python benchmarks/measure_evaluation.py`: {options.images:,} images with {options.found} "
        f"detections and {NUM_DRAWN} drawn boxes each, {NUM_CLASSES} classes, made up.",
        "",
        *describe_machine(),
        f"- {', '.join(f'{package} {version(package)}' for package in PACKAGES)}",
        f"- load of the machine when it was measured: {os.getloadavg()[2]:.1f} over the last 15 minutes",
        "",
        f"{len(rounds)} rounds in turn, each contestant in a process of its own, medians; ratios are those of each "
        "round. Time runs from arrays of boxes to all figures, so making the lists of records that both libraries take "
        "is in it. Memory is the peak of the whole process, and by how much it lies above that before the measurement.",
        "",
        "| | seconds | pycocotools takes times as long | peak memory | of it added | figure |",
        "|---|---|---|---|---|---|",
    ]
    for name, what in CONTESTANTS.items():
        runs = [one[name] for one in rounds]
        ratio = statistics.median(one["pycocotools"]["seconds"] / one[name]["seconds"] for one in rounds)
        seconds, peak, grown = (
            statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mib", "grown_mib")
        )
        shown = "" if name == "voc" else f"{ratio:.1f}"
        lines.append(
            f"| {what} | {seconds:.1f} | {shown} | {peak:,.0f} MiB | {grown:,.0f} MiB | {runs[0]['figure']:.6f} |"
        )
    difference = abs(rounds[0]["ours"]["figure"] - rounds[0]["pycocotools"]["figure"])
    lines += ["", f"AP differs by {difference:.1e}. The figure of VOC is AP50 by area."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the page; as a contestant, prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--found", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contestant", choices=CONTESTANTS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("evaluation.md"))
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(run_contestant(options.contestant, options.images, options.found)))
        return
    rounds = [{name: measure(name, options) for name in CONTESTANTS} for _ in range(options.rounds)]
    options.out.write_text(make_report(options, rounds))


if __name__ == "__main__":
    main()
