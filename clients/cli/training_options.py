"""Options that the training commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.source_options import make_absolute, make_classifier_absolute, make_weights_absolute

TrainOutOption = Annotated[
    str,
    typer.Option("--out", help="Where run and checkpoint go, new or unfinished: a folder or s3://bucket/prefix."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A value of the recipe that differs, such as num_steps=300. May repeat."
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the random layers and of the order of the images.")]
TrainDeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, ... Left out, a GPU if there is one.")
]
DecodersOption = Annotated[
    int | None, typer.Option(min=0, help="Processes that decode images, for each worker. 0: the one that trains.")
]
SaveEveryOption = Annotated[int, typer.Option(min=1, help="Steps between states to go on from.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="There has to be a run to go on with; it is gone on with in any case.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Workers on Ray that share every batch, each a process. Left out, this process trains."),
]
TrainRayOption = Annotated[
    str | None, typer.Option("--ray", help="Address of a Ray cluster for the workers. Left out, one is started here.")
]
PrintSpecOption = Annotated[
    bool, typer.Option("--print-spec", help="Print the job for `dap run`, and do nothing else.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def make_train_fields(
    *,
    out: str,
    changes: Sequence[str] | None,
    seed: int,
    device: str | None,
    decoders: int | None,
    save_every: int,
    resume: bool,
    workers: int | None,
    ray: str | None,
) -> dict[str, Any]:
    """The fields of a spec that these options stand for. Raises ValueError."""
    if ray is not None and workers is None:
        raise ValueError("--ray says where workers run; say how many with --workers")
    return {
        "out": make_absolute(out),
        "changes": parse_changes(changes or []),
        "seed": seed,
        "device": device,
        "decoders": decoders,
        "save_every": save_every,
        "resume": resume,
        "workers": workers,
        "ray": ray,
    }


def make_start_fields(classifier: str | None, weights: str | None, classes: Path | None) -> dict[str, Any]:
    """The fields that say which classifier a detector starts from."""
    return {
        "classifier": classifier and make_classifier_absolute(classifier),
        "weights": make_weights_absolute(weights),
        "classes": None if classes is None else str(classes.absolute()),
    }


def parse_changes(entries: Sequence[str]) -> dict[str, str]:
    """Entries KEY=VALUE as a mapping. Raises ValueError for another form, or a key that is given twice."""
    changes: dict[str, str] = {}
    for entry in entries:
        name, value = _split_change(entry)
        if name in changes:
            raise ValueError(f"--set gives {name} twice, {changes[name]} and {value}; give it once")
        changes[name] = value
    return changes


def _split_change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--set takes KEY=VALUE, such as num_steps=300, got {text!r}")
    return name.strip(), value.strip()
