"""`dap bench train`: how fast this machine trains."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.console import make_table, print_json, reports_errors, stderr, stdout
from clients.cli.training_options import SetOption, parse_changes

if TYPE_CHECKING:
    from dap_core.benchmarking import ReadingSpeed, StepSpeed


@reports_errors
def bench_train(
    label_set: Annotated[str, typer.Argument(metavar="LABEL_SET", help="A label set.", show_default=False)],
    recipe: Annotated[str, typer.Option(help="`dap recipes` lists them.")] = "pretrain-laptop",
    changes: SetOption = None,
    classifier: Annotated[str, typer.Option(help="Whose backbone the detector has.")] = "lite0",
    steps: Annotated[int, typer.Option(help="Timed steps of a round.", min=1)] = 20,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 3,
    decoders: Annotated[int, typer.Option(help="Processes that decode while training.", min=0)] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure a training step beside a plain loop around torchvision's model, and reading beside bare decoding.

    The plain loop has the same batches in memory, decoded; ours reads them from the label set.

    [bold]dap bench train labels/[/bold]
    """
    from dap_core.benchmarking import measure_reading, measure_steps
    from dap_core.training.detector_runs import start_from_classifier
    from dap_core.training.recipe_changes import change_recipe
    from dap_core.training.recipes import get_train_recipe
    from dap_core.training.regimes import resolve_regime
    from dap_core.training.samples import LabelSetSamples
    from services.classifiers import load_classifier_at
    from services.places import open_label_set_at

    samples = LabelSetSamples(open_label_set_at(label_set))
    chosen = change_recipe(get_train_recipe(recipe), parse_changes(changes or []))
    chosen, _ = resolve_regime(chosen, sum(samples.groups), len(samples.classes))
    start = load_classifier_at(classifier)
    with stderr.status("decoding and resizing"):
        reading = measure_reading(samples, chosen.augment, batch_size=chosen.batch_size, num_rounds=rounds)
    with stderr.status("training"):
        speed = measure_steps(
            lambda: start_from_classifier(start, samples.classes, chosen, seed=0),
            samples,
            chosen,
            device=device,
            num_decoders=decoders,
            num_rounds=rounds,
            num_steps=steps,
        )
    if as_json:
        print_json({"recipe": chosen.to_dict(), "step": asdict(speed), "reading": asdict(reading)})
    else:
        _print(speed, reading)


def _print(speed: StepSpeed, reading: ReadingSpeed) -> None:
    rows = [
        ("plain loop, from memory", f"{speed.plain_s:.3f} s", "1.00", ""),
        ("ours, from the label set", f"{speed.ours_s:.3f} s", f"{speed.ratio:.3f}", f"{speed.waiting:.1%}"),
    ]
    title = f"a step in {speed.precision}, {speed.num_rounds} rounds of {speed.num_steps}"
    stdout.print(make_table(title, ("", "time", "/ plain", "waiting for data"), rows))
    table = [
        ("decode and resize, from memory", f"{reading.bare_images_per_s:.0f}", "1.00", ""),
        (
            "batches, from the label set",
            f"{reading.images_per_s:.0f}",
            f"{reading.ratio:.2f}",
            f"{reading.first_mib:.0f} to {reading.last_mib:.0f} MiB",
        ),
    ]
    title = f"reading in {reading.num_workers} processes, {reading.num_rounds} rounds of {reading.num_images} images"
    stdout.print(make_table(title, ("", "images/s", "/ bare", "memory, first to last round"), table))
