"""`make e2e`: the four steps of the paper on a synthetic set, with the commands a user would type.

Fit a classifier to its classes, mine boxes, pre-train a detector, fine-tune on ten drawn images of each class, measure;
beside it the same fine-tuning from the classifier alone (CLS).
"""

from __future__ import annotations

import io
import json
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.cli.console import make_table, stdout
from clients.cli.quantities import format_duration

ARMS = ("CLS", "DAP")
_SIDES = "augment.short_sides=96,128,160,192"
_SHOWN = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """AP of detectors fine-tuned from a classifier alone (CLS) and from a pre-trained detector (DAP), for each seed."""

    results: dict[str, list[dict[str, Any]]]

    def average(self, arm: str, name: str) -> float:
        """The mean of one figure of COCO over the seeds, in percent."""
        values: list[float] = [100 * result["coco"][name] for result in self.results[arm]]
        return sum(values) / len(values)

    def print(self, title: str) -> None:
        """Prints a row for each arm and the difference."""
        rows = [[arm, *(f"{self.average(arm, name):.1f}" for name in _SHOWN)] for arm in ARMS]
        rows.append(
            ["DAP - CLS", *(f"{self.average('DAP', name) - self.average('CLS', name):+.1f}" for name in _SHOWN)]
        )
        stdout.print(title, style="bold", soft_wrap=True)
        stdout.print(make_table("", ("", *_SHOWN.values()), rows))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    num_labelled: int = 1200
    num_drawn: int = 200
    num_test: int = 200
    pretrain_steps: int = 400
    finetune_steps: int = 150
    shots: int = 10


def run_dap(*arguments: str) -> dict[str, Any]:
    """Prints and runs a command, and returns its result. Ends the program with its exit code when it fails."""
    from clients.cli.main import app

    stdout.print(f"$ dap {shlex.join(arguments)}", style="bold", markup=False, soft_wrap=True)
    with redirect_stdout(io.StringIO()) as output:
        code = app([*arguments, "--json"], standalone_mode=False)
    if code:
        sys.exit(code)
    result: dict[str, Any] = json.loads(output.getvalue())
    return result


def compare_arms(
    out: Path,
    *,
    pretrained: Path,
    classifier: Sequence[str],
    data: Sequence[str],
    test: Sequence[str],
    shots: int,
    seeds: Sequence[int],
    settings: Sequence[str] = (),
) -> Comparison:
    """Fine-tunes from both starts on the same images with the same settings for each seed, and measures both.

    `classifier`, `data` and `test` are options of `dap finetune` and `dap evaluate`, `settings` entries of `--set`.
    """
    starts = {"CLS": ["--classifier", *classifier], "DAP": [str(pretrained)]}
    chosen = [part for entry in settings for part in ("--set", entry)]
    results: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for seed in seeds:
        drawn = ["--shots", str(shots), "--shot-seed", str(seed), "--seed", str(seed)]
        for arm, start in starts.items():
            place = str(out / f"{arm.lower()}-{shots}shot-{seed}")
            run_dap("finetune", *start, *data, *drawn, *chosen, "--out", place)
            results[arm].append(run_dap("evaluate", place, *test))
    return Comparison(results)


def main(out: Path, sizes: Sizes | None = None) -> int:
    """Runs the steps into the folder `out`, replacing what an earlier run left there."""
    sizes = sizes or Sizes()
    if out.exists():
        shutil.rmtree(out)
    began = time.monotonic()
    classifier = str(out / "classifier")
    run_dap("synthetic", str(out / "labelled"), "--images", str(sizes.num_labelled), "--seed", "1")
    for seed, (name, number) in enumerate([("drawn", sizes.num_drawn), ("test", sizes.num_test)], 2):
        run_dap("synthetic", str(out / name), "--kind", "detection", "--images", str(number), "--seed", str(seed))
    photos = str(out / "labelled" / "images")
    names = ("--classes", str(out / "labelled" / "classes.csv"))
    run_dap("train-classifier", photos, "--head-only", *names, "--out", classifier)
    mined = ("--classifier", classifier, "--thresholds", "0.4,0.5,0.6,0.7", "--out", str(out / "labels"))
    run_dap("mine", photos, *mined)
    start = ("--classifier", classifier, "--set", f"num_steps={sizes.pretrain_steps}", "--set", _SIDES)
    run_dap("pretrain", str(out / "labels"), *start, "--out", str(out / "pretrained"))
    comparison = compare_arms(
        out,
        pretrained=out / "pretrained",
        classifier=[classifier],
        data=["--data", str(out / "drawn" / "annotations.json")],
        test=["--data", str(out / "test" / "annotations.json")],
        shots=sizes.shots,
        seeds=(0,),
        settings=("augment.short_sides=160", f"num_steps={sizes.finetune_steps}"),
    )
    comparison.print(f"{sizes.shots} drawn images of each class, {sizes.num_test} test images")
    seconds = time.monotonic() - began
    (out / "results.json").write_text(json.dumps({"seconds": seconds, "results": comparison.results}))
    stdout.print(f"all of it took {format_duration(seconds)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
