"""`dap recut`: boxes cut again from stored maps."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer

from clients.cli.console import image_progress, parse_numbers, print_json, reports_errors, stdout


class KeptImages(StrEnum):
    """What happens to images that the label set holds."""

    KEEP = "keep"
    REFERENCE = "reference"


@reports_errors
def recut(
    label_set: Annotated[str, typer.Argument(help="A label set that holds its maps.", show_default=False)],
    out: Annotated[str, typer.Option("--out", help="Where the new label set goes: a folder or s3://bucket/prefix.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="aligned, paper or official; else that of the label set.", show_default=False),
    ] = None,
    scales: Annotated[str | None, typer.Option(help="Short sides to use, of those that were run.")] = None,
    thresholds: Annotated[str | None, typer.Option(help="CAM thresholds, such as 0.3,0.5.")] = None,
    nms_iou: Annotated[float | None, typer.Option(help="NMS IoU; 1 keeps all.")] = None,
    images: Annotated[
        KeptImages, typer.Option(help="Copy embedded images, or refer to where they were mined from (faster, smaller).")
    ] = KeptImages.KEEP,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Cut boxes again from the stored maps of a label set, into a new one.

    No network is run: this takes about a millisecond per image. Images, labels and failures are taken over.

    [bold]dap recut labels/ --thresholds 0.3,0.5 --nms-iou 0.7 --out labels-tight/[/bold]
    """
    from dap_core.label_sets.recutting import ShardRecutter, plan_recut
    from dap_core.label_sets.runner import run_plan, start_label_set
    from dap_core.recipes import customise_recipe, get_recipe
    from services.places import local_path, open_label_set_at, refuse_inside
    from services.storage import open_store

    parent = open_label_set_at(label_set)
    refuse_inside(out, parent.store.uri)
    if (folder := local_path(out)) is not None:
        parent.check_outside(folder)
    chosen = customise_recipe(
        parent.manifest.settings.mining_recipe if recipe is None else get_recipe(recipe),
        short_sides=parse_numbers(scales, "--scales", int),
        thresholds=parse_numbers(thresholds, "--thresholds", float),
        nms_iou=nms_iou,
    )
    destination = open_store(out)
    keep = images is KeptImages.KEEP
    plan = start_label_set(destination, *plan_recut(parent, chosen, keep_images=keep))
    started = time.perf_counter()
    with image_progress("cutting", parent.manifest.counts.num_ok) as advance:
        make_shard = ShardRecutter(parent, destination, chosen, keep, lambda num_images: advance(num_images, 0))
        manifest = run_plan(destination, plan, make_shard)
    seconds = time.perf_counter() - started
    counts = manifest.counts
    result = {
        "label_set": str(out),
        "recipe": chosen.name,
        "images": counts.num_ok,
        "boxes": counts.num_boxes,
        "boxes_per_image": round(counts.num_boxes / counts.num_ok, 3) if counts.num_ok else 0.0,
        "seconds": round(seconds, 3),
        "images_per_s": round(counts.num_ok / seconds, 1),
    }
    if as_json:
        print_json(result)
        return
    stdout.print(
        f"{counts.num_ok} images cut again: {result['boxes_per_image']:.3f} boxes per image, "
        f"{result['images_per_s']:.0f} images/s; the new label set is {out}",
        soft_wrap=True,
        markup=False,
    )
