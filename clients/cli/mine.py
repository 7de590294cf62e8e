"""`dap mine`: images and labels to a label set."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.console import (
    ExitCode,
    make_table,
    parse_numbers,
    print_json,
    reports_errors,
    stderr,
    stdout,
    warn,
)
from clients.cli.source_options import (
    ClassesOption,
    ClassifierOption,
    LabelOption,
    LabelPatternOption,
    LabelTableOption,
    MapOption,
    SourceArgument,
    WeightsOption,
    open_labelled_source,
)

if TYPE_CHECKING:
    from clients.cli.mining_run import Growth, PoolOptions
    from dap_core.datasets import Source
    from dap_core.label_sets import Manifest
    from dap_core.label_sets.tally import Tally
    from dap_core.types import ClassList

_LEAST_AGREEMENT = 0.2
_LEAST_IMAGES = 20


class ImageStorage(StrEnum):
    """Whether a label set holds the images or refers to them."""

    EMBED = "embed"
    REFERENCE = "reference"


@reports_errors
def mine(
    source: SourceArgument,
    out: Annotated[
        str, typer.Option("--out", help="Where the label set goes, new or unfinished: a folder or s3://bucket/prefix.")
    ],
    label: LabelOption = None,
    label_pattern: LabelPatternOption = None,
    label_table: LabelTableOption = None,
    renamed: MapOption = None,
    recipe: Annotated[
        str, typer.Option(help="Named way to mine: aligned (ours), paper (the text), official (the authors' script).")
    ] = "aligned",
    classifier: ClassifierOption = "lite0",
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    scales: Annotated[str | None, typer.Option(help="Short sides in pixels. [dim]recipe: 288,576[/dim]")] = None,
    thresholds: Annotated[str | None, typer.Option(help="CAM thresholds. [dim]default: of the recipe[/dim]")] = None,
    nms_iou: Annotated[float | None, typer.Option(help="NMS IoU; 1 keeps all. [dim]recipe: 0.8[/dim]")] = None,
    images: Annotated[
        ImageStorage, typer.Option(help="Store the images in the label set, or only refer to them.")
    ] = ImageStorage.EMBED,
    cams: Annotated[bool, typer.Option(help="Store the maps, so that boxes can be cut again.")] = True,
    engine: Annotated[str, typer.Option(help="auto, openvino or torch; `dap doctor` says what there is.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... Left out: a GPU if there is one.")] = None,
    extend: Annotated[bool, typer.Option("--extend", help="Add the images that came since.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Label only the images that failed, once more.")
    ] = False,
    max_failures: Annotated[
        float, typer.Option(min=0, max=1, help="Stop early when more than this share of the images failed.")
    ] = 0.05,
    labelers: Annotated[
        int | None, typer.Option(min=1, help="Labelers on Ray, each a process. Left out, this process labels.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster for the labelers. Left out, one is started here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Mine pseudo boxes from images with image-level labels into a label set.

    Runs the classifier over each image at several scales and mirrored, draws the class activation map of
    each label, and cuts boxes from it. A bad image becomes a listed failure; the rest goes on. Run the same
    command again to finish an interrupted run.

    [bold]dap mine photos/ --out labels/[/bold]   photos/CLASS/IMAGE.jpg, CLASS a wnid or a class name
    [bold]dap mine a.jpg b.jpg --label auto --out labels/[/bold]
    [bold]dap mine s3://photos/animals --out s3://labels/animals --labelers 4[/bold]
    """
    from clients.cli.mining_run import MiningRun
    from dap_core.classifiers import load_classifier, read_classes
    from dap_core.label_sets.labeling import make_settings
    from dap_core.label_sets.plan import assign_shards, freeze_plan
    from dap_core.labeler import PseudoLabeler
    from dap_core.recipes import customise_recipe, get_recipe
    from services.jobs.shard_pool import LabelerSpec
    from services.storage import open_store

    growth, pool = _choose_growth(extend, retry_failed), _choose_pool(labelers, ray)
    chosen = customise_recipe(
        get_recipe(recipe),
        short_sides=parse_numbers(scales, "--scales", int),
        thresholds=parse_numbers(thresholds, "--thresholds", float),
        nms_iou=nms_iou,
    )
    opened = open_labelled_source(
        source,
        label=label,
        label_pattern=label_pattern,
        label_table=label_table,
        renamed=renamed,
        destination=out,
    )
    found = opened.source
    for warning in opened.warnings:
        warn(warning)
    with stderr.status(f"loading {classifier}"):
        own_classes = read_classes(classes) if classes else None
        loaded = load_classifier(classifier, weights=weights, classes=own_classes)
        _check_labels(found, loaded.classes)
        labeler = PseudoLabeler(loaded, recipe=chosen, engine=engine, precision=precision, device=device)  # type: ignore[arg-type]
    settings = make_settings(labeler, found.store, embed_images=images is ImageStorage.EMBED, store_cams=cams)
    run = MiningRun(
        frozen=freeze_plan(assign_shards(found.rows), settings),
        source=found.store,
        destination=open_store(out),
        labeler=labeler,
        spec=LabelerSpec(settings, classifier, weights, own_classes, device),
        growth=growth,
        pool=pool,
        max_failed=max_failures,
    )
    started = time.perf_counter()
    with _saying_how_to_go_on(out):
        manifest, tally = run.run()
    result = _summarise(manifest, tally, time.perf_counter() - started, out, found.num_skipped)
    if as_json:
        print_json(result)
    else:
        _print_summary(result, tally)
    _warn_of_disagreement(tally)
    raise typer.Exit(_exit_code(manifest))


@contextmanager
def _saying_how_to_go_on(out: str) -> Iterator[None]:
    """Whatever ends the run early, the user is told how it goes on."""
    from dap_core.errors import StoreError, TooManyFailuresError

    try:
        yield
    except KeyboardInterrupt:
        _print_resume("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except StoreError:
        _print_resume("stopped; what was committed stays")
        raise
    except TooManyFailuresError as error:
        look = shlex.join(["dap", "show", out])
        raise TooManyFailuresError(f"{error}; {look} lists them, and --max-failures 1 goes on all the same") from error


def _choose_growth(extend: bool, retry_failed: bool) -> Growth:
    from clients.cli.mining_run import Growth

    if extend and retry_failed:
        raise ValueError("--extend and --retry-failed are two runs; give one of them")
    return Growth.NEW_IMAGES if extend else Growth.FAILED_IMAGES if retry_failed else Growth.NOTHING


def _choose_pool(labelers: int | None, ray: str | None) -> PoolOptions | None:
    from clients.cli.mining_run import PoolOptions

    if ray is not None and labelers is None:
        raise ValueError("--ray says where labelers run; say how many with --labelers")
    return None if labelers is None else PoolOptions(labelers, ray)


def _print_resume(what: str) -> None:
    stderr.print(f"{what}; to go on: {shlex.join(['dap', *sys.argv[1:]])}", markup=False, soft_wrap=True)


def _check_labels(found: Source, classes: ClassList) -> None:
    """Warns of labels that are no classes; raises SourceError when too many images have one."""
    from dap_core.datasets.unknown_labels import find_unknown_labels
    from dap_core.errors import SourceError

    unknown = find_unknown_labels(found.rows, classes)
    if unknown.are_too_many:
        raise SourceError(unknown.describe())
    if unknown.num_images:
        warn(unknown.describe())


def _summarise(manifest: Manifest, tally: Tally, seconds: float, out: str, num_skipped: int) -> dict[str, Any]:
    counts = manifest.counts
    mined = tally.num_ok + sum(tally.failures.values())
    return {
        "label_set": out,
        "state": manifest.state,
        "images": counts.num_planned,
        "ok": counts.num_ok,
        "failed": counts.num_failed,
        "skipped_files": num_skipped,
        "boxes": counts.num_boxes,
        "boxes_per_image": round(counts.num_boxes / counts.num_ok, 3) if counts.num_ok else 0.0,
        "mined_now": mined,
        "seconds": round(seconds, 2),
        "images_per_s": round(mined / seconds, 2) if mined else 0.0,
        "failures_by_type": dict(tally.failures),
        "recipe": manifest.settings.recipe.name,
        "classifier": manifest.settings.classifier,
        "engine": f"{manifest.settings.engine} {manifest.settings.precision}",
    }


def _print_summary(result: dict[str, Any], tally: Tally) -> None:
    skipped = f", {result['skipped_files']} other files skipped" if result["skipped_files"] else ""
    speed = f"{result['images_per_s']:.2f} images/s, {result['mined_now']} images in {result['seconds']:.1f} s"
    rows = [
        ("label set", result["label_set"]),
        ("images", f"{result['ok']} labelled, {result['failed']} failed{skipped}"),
        ("boxes", f"{result['boxes']}, {result['boxes_per_image']:.3f} per image"),
        ("recipe", f"{result['recipe']}, {result['classifier']} on {result['engine']}"),
        ("speed", speed if result["mined_now"] else "nothing was left to do"),
    ]
    table = make_table("mined", ("", ""), rows)
    table.columns[1].justify = "left"
    table.show_header = False
    stdout.print(table)
    for kind, number in tally.failures.most_common():
        stderr.print(f"[red]{number} x {kind}[/], such as ", end="")
        stderr.print(tally.examples[kind], markup=False, soft_wrap=True)
    place = shlex.quote(result["label_set"])
    stdout.print(f"look at it:  dap show {place}   dap stats {place}", soft_wrap=True, markup=False)


def _warn_of_disagreement(tally: Tally) -> None:
    if tally.num_ok >= _LEAST_IMAGES and tally.num_agreeing < _LEAST_AGREEMENT * tally.num_ok:
        warn(
            f"the classifier's first choice is the given label on only {tally.num_agreeing} of {tally.num_ok} images; "
            "are these its classes, and its weights trained?"
        )


def _exit_code(manifest: Manifest) -> ExitCode:
    counts = manifest.counts
    if counts.num_ok == 0:
        return ExitCode.FAILED
    return ExitCode.PARTLY_FAILED if counts.num_failed else ExitCode.OK
