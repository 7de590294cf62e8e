"""`dap mine`: images and labels to a label set."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.console import reports_errors
from clients.cli.job_options import JobOptions
from clients.cli.labeling_options import LabelingOptions
from clients.cli.option_groups import takes_groups
from clients.cli.source_options import LabelSourceOptions, SourceArgument, make_absolute


@reports_errors
@takes_groups
def mine(
    source: SourceArgument,
    out: Annotated[
        str, typer.Option("--out", help="Where the label set goes, new or unfinished: a folder or s3://bucket/prefix.")
    ],
    rules: LabelSourceOptions,
    labeling: LabelingOptions,
    job: JobOptions,
    extend: Annotated[bool, typer.Option("--extend", help="Add the images that came since.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Label only the images that failed, once more.")
    ] = False,
    max_failures: Annotated[
        float, typer.Option(min=0, max=1, help="Stop early when more than this share of the images failed.")
    ] = 0.05,
    shard_images: Annotated[
        int, typer.Option(min=1, max=1000, help="Images in a shard at most; a labeler works on one shard at a time.")
    ] = 1000,
    labelers: Annotated[
        int | None, typer.Option(min=1, help="Labelers on Ray, each a process. Left out, this process labels.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster for the labelers. Left out, one is started here.")
    ] = None,
) -> None:
    """Mine pseudo boxes from images with image-level labels into a label set.

    Runs the classifier over each image at several scales and mirrored, draws the class activation map of
    each label, and cuts boxes from it. A bad image becomes a listed failure; the rest goes on. Run the same
    command again to finish an interrupted run.

    [bold]dap mine photos/ --out labels/[/bold]   photos/CLASS/IMAGE.jpg, CLASS a wnid or a class name
    [bold]dap mine a.jpg b.jpg --label auto --out labels/[/bold]
    [bold]dap mine s3://photos/animals --out s3://labels/animals --labelers 4[/bold]
    """
    from clients.cli.job_running import run_or_print

    if ray is not None and labelers is None:
        raise ValueError("--ray says where labelers run; say how many with --labelers")
    fields = {**rules.make_fields(source), **labeling.make_fields()}
    growth = _choose_growth(extend, retry_failed)
    fields |= {"out": make_absolute(out), "growth": growth, "max_failures": max_failures}
    fields |= {"shard_images": shard_images}
    fields |= {"labelers": labelers, "ray": ray}
    run_or_print("mine", fields, options=job)


def _choose_growth(extend: bool, retry_failed: bool) -> str:
    if extend and retry_failed:
        raise ValueError("--extend and --retry-failed are two runs; give one of them")
    return "new-images" if extend else "failed-images" if retry_failed else "none"
