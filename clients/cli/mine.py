"""`dap mine`: images and labels to a label set."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.console import (
    ExitCode,
    image_progress,
    make_table,
    parse_numbers,
    print_json,
    reports_errors,
    stderr,
    stdout,
    warn,
)

if TYPE_CHECKING:
    from dap_core.label_sets import Failure, LabelSetRow, Manifest
    from dap_core.label_sets.plan import Plan
    from dap_core.label_sets.shards import ShardEntry
    from dap_core.labeler import PseudoLabeler
    from dap_core.stores import Store

_LEAST_AGREEMENT = 0.2
_LEAST_IMAGES = 20


class ImageStorage(StrEnum):
    """Whether a label set holds the images or refers to them."""

    EMBED = "embed"
    REFERENCE = "reference"


@dataclass
class Tally:
    """What a run has seen so far."""

    num_ok: int = 0
    num_agreeing: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, item: LabelSetRow | Failure) -> bool:
        """Counts one image and says whether it failed."""
        from dap_core.label_sets import LabelSetRow

        if isinstance(item, LabelSetRow):
            self.num_ok += 1
            self.num_agreeing += item.top1 in item.labels
            return False
        self.failures[item.error_type] += 1
        self.examples.setdefault(item.error_type, f"{item.key}: {item.message}")
        return True


@reports_errors
def mine(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="An ImageNet-style folder (CLASS/IMAGE.jpg) or s3://bucket/prefix, a CSV file "
            "(path,label[,label...]), image files, or annotations (COCO, VOC, YOLO, ...) whose classes are the labels.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", help="Where the label set goes, new or unfinished: a folder or s3://bucket/prefix.")
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Label of all images: wnid, name, index, or auto for the classifier's choice. May repeat."),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="CLASS=LABEL",
            help="Label to mine for a class of the annotations; CLASS= leaves it out. May repeat.",
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Named way to mine: aligned (ours), paper (the text), official (the authors' script).")
    ] = "aligned",
    classifier: Annotated[
        str, typer.Option(help="lite0 (bundled), or a torchvision or timm network: resnet50, timm/resnet50d.")
    ] = "lite0",
    weights: Annotated[
        str | None, typer.Option(help="Local .safetensors or .pth file, a torchvision weights name, or random.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="CSV index,wnid,name for weights that are not ImageNet-1k.")
    ] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Mine pseudo boxes from images with image-level labels into a label set.

    Runs the classifier over each image at several scales and mirrored, draws the class activation map of
    each label, and cuts boxes from it. A bad image becomes a listed failure; the rest goes on. Run the same
    command again to finish an interrupted run.

    [bold]dap mine photos/ --out labels/[/bold]   photos/CLASS/IMAGE.jpg, CLASS a wnid or a class name
    [bold]dap mine a.jpg b.jpg --label auto --out labels/[/bold]
    """
    from clients.cli.places import open_source_at
    from dap_core.classifiers import load_classifier, read_classes
    from dap_core.errors import StoreError
    from dap_core.label_sets.labeling import make_settings
    from dap_core.label_sets.plan import assign_shards, freeze_plan
    from dap_core.labeler import PseudoLabeler
    from dap_core.recipes import customise_recipe, get_recipe
    from services.storage import open_store

    chosen = customise_recipe(
        get_recipe(recipe),
        short_sides=parse_numbers(scales, "--scales", int),
        thresholds=parse_numbers(thresholds, "--thresholds", float),
        nms_iou=nms_iou,
    )
    found = open_source_at(source, label or [], destination=out, label_map=_parse_map(renamed or []))
    if found.problems:
        first = found.problems[0]
        warn(f"{len(found.problems)} problems in the annotations, such as {first.where}: {first.message}")
    with stderr.status(f"loading {classifier}"):
        loaded = load_classifier(classifier, weights=weights, classes=read_classes(classes) if classes else None)
        labeler = PseudoLabeler(loaded, recipe=chosen, engine=engine, precision=precision, device=device)  # type: ignore[arg-type]
    settings = make_settings(labeler, found.store, embed_images=images is ImageStorage.EMBED, store_cams=cams)
    frozen = freeze_plan(assign_shards(found.rows), settings)
    started = time.perf_counter()
    try:
        manifest, tally = _run(labeler, frozen, found.store, open_store(out))
    except KeyboardInterrupt:
        _print_resume("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except StoreError:
        _print_resume("stopped; what was committed stays")
        raise
    result = _summarise(manifest, tally, time.perf_counter() - started, out, found.num_skipped)
    if as_json:
        print_json(result)
    else:
        _print_summary(result, tally)
    _warn_of_disagreement(tally)
    raise typer.Exit(_exit_code(manifest))


def _print_resume(what: str) -> None:
    stderr.print(f"{what}; to go on: {shlex.join(['dap', *sys.argv[1:]])}", markup=False, soft_wrap=True)


def _parse_map(entries: list[str]) -> dict[str, str]:
    pairs = [entry.rpartition("=") for entry in entries]
    odd = next((entry for entry, (name, _, _) in zip(entries, pairs, strict=True) if not name), None)
    if odd is not None:
        raise ValueError(f"--map must be CLASS=LABEL, got {odd!r}")
    return {name: label.strip() for name, _, label in pairs}


def _run(
    labeler: PseudoLabeler, frozen: tuple[Plan, bytes], source: Store, destination: Store
) -> tuple[Manifest, Tally]:
    from dap_core.label_sets.labeling import ShardLabeler
    from dap_core.label_sets.runner import run_plan, start_label_set

    plan = start_label_set(destination, *frozen)
    tally = Tally()
    with image_progress("mining", plan.num_rows) as advance:

        def on_image(item: LabelSetRow | Failure) -> None:
            advance(1, int(tally.add(item)))

        def on_resumed(entry: ShardEntry) -> None:
            advance(entry.footer.num_ok + entry.footer.num_failed, entry.footer.num_failed)

        make_shard = ShardLabeler(labeler, source, destination, plan.settings, on_image)
        manifest = run_plan(destination, plan, make_shard, on_resumed=on_resumed)
    return manifest, tally


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
