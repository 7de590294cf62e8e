"""Options that the training commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from clients.cli.console import parse_numbers
from clients.cli.source_options import (
    ClassesOption,
    WeightsOption,
    make_absolute,
    make_classifier_absolute,
    make_weights_absolute,
)

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A value of the recipe to change: num_steps=300. May repeat."),
]
RecipeOption = Annotated[str, typer.Option(help="How it is trained; `dap recipes` lists them.")]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a model is trained, where, and where it goes."""

    out: Annotated[
        str, typer.Option(help="Where run and checkpoint go, new or unfinished: a folder or s3://bucket/prefix.")
    ]
    changes: SetOption = None
    seed: Annotated[int, typer.Option(min=0, help="Of the random layers and of the order of the images.")] = 0
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... Left out, a GPU if there is one.")] = None
    decoders: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode images, for each worker. 0: the one that trains.")
    ] = None
    save_every: Annotated[int, typer.Option(min=1, help="Steps between states to go on from.")] = 100
    keep: Annotated[
        str | None, typer.Option(help="Steps after which the model is kept, too, in steps/ of the place: 50,100.")
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="There has to be a run to go on with; it is gone on with in any case.")
    ] = False
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Workers on Ray that share every batch, each a process. Left out, this one trains."),
    ] = None
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster for the workers. Left out, one is started here.")
    ] = None

    def make_fields(self) -> dict[str, Any]:
        """The fields of a spec that these options stand for. Raises ValueError."""
        if self.ray is not None and self.workers is None:
            raise ValueError("--ray says where workers run; say how many with --workers")
        return {
            "out": make_absolute(self.out),
            "changes": parse_changes(self.changes or []),
            "seed": self.seed,
            "device": self.device,
            "decoders": self.decoders,
            "save_every": self.save_every,
            "keep": parse_numbers(self.keep, "--keep", int) or (),
            "resume": self.resume,
            "workers": self.workers,
            "ray": self.ray,
        }


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """Which classifier a detector starts from."""

    classifier: Annotated[
        str | None,
        typer.Option(
            help="Classifier whose backbone it starts from: lite0, a torchvision or timm network, or a trained one."
        ),
    ] = None
    weights: WeightsOption = None
    classes: ClassesOption = None

    def make_fields(self) -> dict[str, Any]:
        """The fields of a spec that these options stand for."""
        return {
            "classifier": self.classifier and make_classifier_absolute(self.classifier),
            "weights": make_weights_absolute(self.weights),
            "classes": None if self.classes is None else str(self.classes.absolute()),
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
