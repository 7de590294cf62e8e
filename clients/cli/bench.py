"""`dap bench`: how fast this machine mines, cuts again, serves and trains."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.bench_training import bench_train
from clients.cli.console import make_table, parse_numbers, print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from dap_core.benchmarking import MiningSpeed

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Measure the speed of mining, re-cutting, serving and training."
)
_MEMORY_IMAGES = (200, 2000)
_SERVED_IMAGES = 64
app.command("train")(bench_train)


@app.command("mine")
@reports_errors
def bench_mine(
    images: Annotated[Path, typer.Option("--images", help="An ImageNet-style folder.", show_default=False)],
    seconds: Annotated[float, typer.Option(help="How long to go on; two rounds are done in any case.", min=1)] = 120,
    round_images: Annotated[int, typer.Option("--round", help="Images of a round.", min=4)] = 32,
    recipe: Annotated[str, typer.Option(help="aligned, paper or official.")] = "aligned",
    scales: Annotated[str | None, typer.Option(help="Short sides in pixels. [dim]recipe: 288,576[/dim]")] = None,
    classifier: Annotated[str, typer.Option(help="lite0 (bundled), or a torchvision or timm network.")] = "lite0",
    weights: Annotated[str | None, typer.Option(help="Local file, a torchvision weights name, or random.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... Left out: a GPU if there is one.")] = None,
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Also the peak memory of 200 and of 2,000 images, in processes of their own."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure every engine in turn on the same images, beside the paper straight and the engine's own limit.

    [bold]naive[/bold]: one image at a time, four eager float32 forward passes. [bold]engine[/bold]: JPEG bytes in,
    boxes out. [bold]limit[/bold]: the engine's bare forward passes on the same canvases.

    [bold]dap bench mine --images photos/ --seconds 120[/bold]
    """
    from dap_core.benchmarking import measure_mining, measure_peak_memory
    from dap_core.datasets import open_source
    from dap_core.recipes import customise_recipe, get_recipe
    from services.classifiers import load_classifier_at

    source = open_source([images])
    with stderr.status("reading images"):
        encoded = [(source.store.get(row.key), row.labels) for row in source.rows]
    with stderr.status(f"measuring for {seconds:.0f} s and more"):
        loaded = load_classifier_at(classifier, weights=weights)
        chosen = customise_recipe(get_recipe(recipe), short_sides=parse_numbers(scales, "--scales", int))
        speed = measure_mining(
            loaded, encoded, seconds=seconds, round_images=round_images, recipe=chosen, device=device
        )
    peaks: dict[int, float] = {}
    if memory:
        with stderr.status("measuring memory"):
            peaks = {number: measure_peak_memory(images, number) for number in _MEMORY_IMAGES}
    if as_json:
        print_json(asdict(speed) | ({"peak_mib": peaks} if peaks else {}))
    else:
        _print_mining(speed, peaks)


@app.command("recut")
@reports_errors
def bench_recut(
    label_set: Annotated[str, typer.Argument(help="A label set that holds its maps.", show_default=False)],
    repeats: Annotated[int, typer.Option(help="Each recipe so often; the median counts.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure cutting boxes again with every recipe, in this process, images left where they are.

    [bold]dap bench recut labels/[/bold]
    """
    from dap_core.benchmarking import measure_recutting
    from services.places import open_label_set_at

    opened = open_label_set_at(label_set)
    with stderr.status(f"cutting {label_set}"):
        speeds = measure_recutting(opened, repeats=repeats)
    if as_json:
        print_json({"images": opened.manifest.counts.num_ok, "recipes": [asdict(speed) for speed in speeds]})
        return
    rows = [(one.recipe, f"{one.cut_images_per_s:.0f}", f"{one.recut_images_per_s:.0f}") for one in speeds]
    title = f"images/s, {opened.manifest.counts.num_ok} images"
    stdout.print(make_table(title, ("recipe", "read, merge, cut", "and write"), rows))


@app.command("serve")
@reports_errors
def bench_serve(
    images: Annotated[Path, typer.Option("--images", help="An ImageNet-style folder.", show_default=False)],
    rounds: Annotated[int, typer.Option(help="Rounds of 64 images; the median counts.", min=1)] = 3,
    overload_seconds: Annotated[float, typer.Option(help="Seconds at 10 times the capacity.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure the service beside the bare labeler, with and without Ray, and under ten times its capacity.

    [bold]dap bench serve --images imagenet/[/bold]
    """
    from dap_core.datasets import open_source
    from services.bare_labeler import read_images
    from services.measuring import make_contestant, measure_serving

    encoded = read_images(open_source([images]), _SERVED_IMAGES)
    contestants = [make_contestant("one process", encoded, "--no-ray"), make_contestant("Ray Serve", encoded)]
    names = [one.name for one in contestants]
    with stderr.status("starting the servers and sending images"):
        speed = measure_serving(encoded, contestants, num_rounds=rounds, overload_s=overload_seconds, overloaded=names)
    if as_json:
        print_json(asdict(speed))
        return
    rows = [("in process", f"{speed.in_process_images_per_s:.2f}", "1.00", "")]
    rows += [
        (one.name, f"{one.images_per_s:.2f}", f"{one.ratio_to_in_process:.2f}", f"{one.alone_p50_s * 1000:.0f} ms")
        for one in speed.servers
    ]
    stdout.print(make_table("16 in flight", ("", "images/s", "/ in process", "p50 alone"), rows))
    table = [
        (
            one.name,
            f"{one.answered_well:.2%}",
            f"{one.goodput_at_10 / one.goodput_at_1:.2f}",
            f"{one.p99_s:.1f} s",
            f"{one.bound_s:.1f} s",
        )
        for one in speed.overloads
    ]
    columns = ("", "200 or 503", "goodput / at 1x", "p99 accepted", "bound")
    stdout.print(make_table("at ten times the capacity", columns, table))


@app.command("bulk")
@reports_errors
def bench_bulk(
    images: Annotated[str, typer.Option("--images", help="An ImageNet-style folder or s3://bucket/prefix.")],
    scratch: Annotated[
        str, typer.Option("--scratch", help="Where images are copied and label sets made, and all of it removed.")
    ],
    limit: Annotated[int, typer.Option("--limit", help="Images of a round, the first of the source.", min=16)] = 320,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 3,
    memory: Annotated[
        list[int] | None,
        typer.Option(help="Also the memory at this many images, copies of those, and resuming. May repeat."),
    ] = None,
    memory_scales: Annotated[str, typer.Option(help="Short sides while memory is measured.")] = "288,576",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure `dap mine` from store to store beside the bare labeler, with and without Ray.

    [bold]dap bench bulk --images imagenet/ --scratch s3://labels/bench[/bold]
    [bold]dap bench bulk --images imagenet/ --scratch s3://labels/bench --memory 1000 --memory 10000[/bold]
    """
    from services.bare_labeler import read_images
    from services.measuring_bulk import measure_bulk_memory, measure_bulk_speed
    from services.sources import open_source_at

    with stderr.status("reading images"):
        encoded = read_images(open_source_at([images]), limit)
    with stderr.status("labelling from store to store"):
        bare, speeds = measure_bulk_speed(encoded, scratch, num_rounds=rounds)
    peaks = []
    if memory:
        with stderr.status("measuring memory"):
            peaks = measure_bulk_memory(encoded, scratch, counts=memory, options=("--scales", memory_scales))
    if as_json:
        values = {"bare_images_per_s": bare, "speeds": list(map(asdict, speeds)), "peaks": list(map(asdict, peaks))}
        print_json({"images": len(encoded), "rounds": rounds, **values})
        return
    rows = [("the bare labeler", f"{bare:.2f}", "1.00", "")]
    rows += [(one.way, f"{one.images_per_s:.2f}", f"{one.ratio:.2f}", f"{one.start_up_s:.1f} s") for one in speeds]
    stdout.print(make_table("from store to store", ("", "images/s", "/ bare", "start-up"), rows))
    if peaks:
        table = [(one.way, f"{one.num_images:,}", f"{one.peak_mib:,.0f} MiB", f"{one.resume_s:.1f} s") for one in peaks]
        stdout.print(make_table(f"memory, short sides {memory_scales}", ("", "images", "peak", "resuming"), table))


def _print_mining(speed: MiningSpeed, peaks: dict[int, float]) -> None:
    rows: list[tuple[Any, ...]] = [("naive", "float32", f"{speed.naive_images_per_s:.2f}", "", "1.00", "", "", "", "")]
    for one in speed.engines:
        shares = one.shares
        figures = (f"{one.images_per_s:.2f}", f"{one.limit_images_per_s:.2f}")
        ratios = (f"{one.ratio_to_naive:.2f}", f"{one.ratio_to_limit:.2f}")
        stages = (f"{shares.network_wall:.0%}", f"{shares.prepare_cpu:.1%}", f"{shares.cut_cpu:.1%}")
        rows.append((one.engine, one.precision, *figures, *ratios, *stages))
    columns = ("", "", "images/s", "limit", "/ naive", "/ limit", "network wall", "decode CPU", "cutting CPU")
    title = f"recipe {speed.recipe}, {speed.classifier}, {speed.num_rounds} rounds, {speed.num_images} images"
    stdout.print(make_table(title, columns, rows))
    stdout.print(f"naive spends {speed.naive_share_in_passes:.1%} of its time in the four forward passes")
    for number, peak in peaks.items():
        stdout.print(f"peak memory of {number} images: {peak:.0f} MiB")
