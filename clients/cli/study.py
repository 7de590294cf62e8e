"""`dap study`: arms compared on the same images, shots and seeds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.console import make_table, parse_numbers, print_json, reports_errors, stdout
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import make_absolute, make_classifier_absolute

if TYPE_CHECKING:
    from services.studies.conducting import StudyResult
    from services.studies.study import Study
    from services.studies.study_data import StudyData


class StudySize(StrEnum):
    """How much a study takes."""

    LAPTOP = "laptop"
    SMALLEST = "smallest"


@dataclass(frozen=True, kw_only=True)
class OwnDataOptions:
    """Images of one's own in place of those of a size."""

    labelled: Annotated[
        str | None, typer.Option(help="Own data: images with image-level labels to mine from, a folder for each.")
    ] = None
    drawn: Annotated[str | None, typer.Option(help="Own data: annotations that the shots are drawn from.")] = None
    validation: Annotated[
        str | None, typer.Option(help="Own data: annotations that the number of steps is chosen on.")
    ] = None
    test: Annotated[str | None, typer.Option(help="Own data: annotations that are measured on.")] = None
    classifier: Annotated[str, typer.Option(help="Own data: lite0, a network, or a trained one.")] = "lite0"

    def make_data(self, size: StudySize) -> StudyData | None:
        """The data, None where none is given. Raises ValueError naming what is missing."""
        from services.studies.own_data import make_own_data

        places = {"labelled": self.labelled, "drawn": self.drawn, "validation": self.validation, "test": self.test}
        given = {name: make_absolute(place) for name, place in places.items() if place is not None}
        if not given:
            return None
        if missing := [f"--{name}" for name in places if name not in given]:
            raise ValueError(f"own data are four places; {', '.join(missing)} is missing")
        classifier = make_classifier_absolute(self.classifier)
        return make_own_data(**given, classifier=classifier, smallest=size is StudySize.SMALLEST)


@reports_errors
@takes_groups
def study(
    own: OwnDataOptions,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|STUDY.py", help="A study of the paper, or a file with a record STUDY.", show_default=False
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Where results.parquet and report.html go. Left out, out/studies/NAME.")
    ] = None,
    size: Annotated[
        StudySize, typer.Option(help="laptop: real images, hours; smallest: made on the spot, minutes.")
    ] = (StudySize.LAPTOP),
    data: Annotated[
        Path, typer.Option(help="Of --size laptop: the folder with imagenet-320, kangaroo, tiny-imagenet.tar.gz.")
    ] = Path("../shared/data"),
    steps: Annotated[
        str | None,
        typer.Option(help="Where label sets and runs are kept; studies share them. Left out, steps beside --out."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many, the same for all arms.")] = None,
    shots: Annotated[str | None, typer.Option(help="Drawn images of each class, such as 5,10.")] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Cores that jobs run on at once; 1 runs all in this process.")
    ] = None,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster. Left out, one is started here.")] = None,
    pictures: Annotated[
        bool,
        typer.Option("--pictures/--no-pictures", help="Whether the report shows images, or can be shown to anybody."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare ways to start a detector: the findings of the paper, on the data of a size or on your own.

    Every arm gets the same images, shots, seeds, canvas, steps and evaluation. Test images that also occur in training
    are found and left out. The same command goes on where it was stopped, and repeats nothing. Without a name it lists
    the studies.

    [bold]dap study kshot --size laptop[/bold]
    [bold]dap study kshot --labelled photos/ --drawn a.json --validation b.json --test c.json --out mine/[/bold]
    """
    if name is None:
        _list_studies()
        return
    wanted = parse_numbers(shots, "--shots", int)
    place = make_absolute(out or f"out/studies/{Path(name).stem}")
    steps_place = make_absolute(steps or f"{place.rstrip('/').rpartition('/')[0]}/steps")
    made = _read_study(name) if name.endswith(".py") else _make_study(name, own, size, data, steps_place)
    made = _change(made, seeds, wanted)
    runner = {"num_parallel": parallel or os.cpu_count() or 1, "ray": ray}
    result, findings = _run(made, place, steps_place, runner, pictures=pictures)
    _report(result, findings, place, as_json=as_json)


def _make_study(name: str, own: OwnDataOptions, size: StudySize, data: Path, steps: str) -> Study:
    from services.studies.catalog import make_named_study
    from services.studies.data_sizes import make_data_of_size

    chosen = own.make_data(size) or make_data_of_size(size.value, data, Path(steps) / "data")
    return make_named_study(name, chosen)


def _read_study(path: str) -> Study:
    """The record STUDY of a Python file. Raises InputError when there is none."""
    import runpy

    from dap_core.errors import InputError
    from services.studies.study import Study

    found = runpy.run_path(path).get("STUDY")
    if not isinstance(found, Study):
        raise InputError(f"{path} holds no STUDY that is a services.studies.study.Study, but {type(found).__name__}")
    return found


def _change(study: Study, num_seeds: int | None, shots: tuple[int, ...] | None) -> Study:
    from dataclasses import replace

    if num_seeds is not None:
        study = replace(study, seeds=tuple(range(num_seeds)))
    if shots is not None:
        study = replace(study, downstream=tuple(replace(one, shots=shots) for one in study.downstream))
    return study


def _run(
    study: Study, out: str, steps: str, runner: dict[str, Any], *, pictures: bool
) -> tuple[StudyResult, list[str]]:
    from clients.cli.job_running import saying_how_to_go_on
    from clients.cli.study_display import StudyDisplay
    from services.storage import open_store
    from services.studies.conducting import conduct_study
    from services.studies.reporting import write_report
    from services.studies.running import StepRunner

    with StudyDisplay() as display, saying_how_to_go_on():
        result = conduct_study(study, StepRunner(steps, **runner, watch=display))
        display.on_stage("writing the report", 0)
        return result, write_report(open_store(out), result, pictures=pictures)


def _report(result: StudyResult, findings: list[str], out: str, *, as_json: bool) -> None:
    study = result.study
    arms = [arm.name for arm in study.arms]
    settings = list(dict.fromkeys(setting for setting, _ in result.results))
    if as_json:
        found = [_describe_result(result, setting, arm) for setting in settings for arm in arms]
        print_json({"study": study.name, "out": out, "findings": findings, "results": [one for one in found if one]})
        return
    rows = [
        [f"{setting.data}, {'all' if setting.shots is None else setting.shots} shots"]
        + [f"{100 * one.mean:.1f}" if (one := result.results.get((setting, arm))) else "-" for arm in arms]
        for setting in settings
    ]
    stdout.print(make_table(f"{study.title}: {study.figure}, mean of {len(study.seeds)} seeds", ("", *arms), rows))
    for finding in findings:
        stdout.print(f"- {finding}", markup=False, soft_wrap=True)
    stdout.print(f"the report is {out.rstrip('/')}/report.html", markup=False, soft_wrap=True)


def _describe_result(result: StudyResult, setting: Any, arm: str) -> dict[str, Any] | None:
    found = result.results.get((setting, arm))
    if found is None:
        return None
    return {
        "data": setting.data,
        "shots": setting.shots,
        "arm": arm,
        "num_steps": found.num_steps,
        "mean": found.mean,
        "by_seed": list(found.by_seed.values()),
    }


def _list_studies() -> None:
    from services.studies.catalog import STUDIES

    table = make_table("", ("study", "asks", "after"), [[n, one.question, one.source] for n, one in STUDIES.items()])
    for column in table.columns[1:]:
        column.justify = "left"
    stdout.print(table)
