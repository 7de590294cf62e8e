"""`dap label`: boxes of a few images, by a service or in this process, printed at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from clients.cli.console import ExitCode, fail, make_table, parse_numbers, print_json, reports_errors, stderr, stdout
from clients.cli.labeling import Asked, Labeled, label_by_service, label_here

_COLUMNS = ("image", "label", "tau", "score", "x1", "y1", "x2", "y2")


@reports_errors
def label(
    image: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.", show_default=False)],
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Label of all images: wnid, name, index, or auto for the classifier's choice. May repeat.",
            show_default="auto",
        ),
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask this service. [dim]Left out: work in this process.[/dim]")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="DAP_API_KEY", help="Key of the service; better in the variable than typed.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="aligned (ours), paper (the text), official.", show_default="aligned")
    ] = None,
    thresholds: Annotated[str | None, typer.Option(help="CAM thresholds. [dim]default: of the recipe[/dim]")] = None,
    scales: Annotated[str | None, typer.Option(help="Short sides in pixels. [dim]recipe: 288,576[/dim]")] = None,
    nms_iou: Annotated[float | None, typer.Option(help="NMS IoU; 1 keeps all. [dim]recipe: 0.8[/dim]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as docs/http-api.md has it.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a picture of each image with heat map and boxes there.")
    ] = None,
) -> None:
    """Find boxes in images and print them; `dap mine` is for many images, and keeps what it found.

    [bold]dap label cat.jpg --label "Egyptian cat"[/bold]
    [bold]dap label *.jpg --service http://127.0.0.1:8000 --json[/bold]
    Exit codes: 0 done, 2 wrong use, 3 some images failed, 4 all or the command failed, 5 no answer, 6 no valid key.
    """
    asked = Asked(
        images=tuple(image),
        labels=tuple(label or ["auto"]),
        recipe=recipe,
        thresholds=parse_numbers(thresholds, "--thresholds", float),
        scales=parse_numbers(scales, "--scales", int),
        nms_iou=nms_iou,
        overlay=overlay,
    )
    with stderr.status("labelling"):
        found = _ask_service(asked, service, api_key) if service else label_here(asked)
    if as_json:
        print_json({"model": found.model, "recipe": found.recipe, "items": found.items})
    else:
        _print_boxes(found.items)
    num_failed = _report_problems(found)
    if num_failed:
        raise typer.Exit(ExitCode.FAILED if num_failed == len(found.items) else ExitCode.PARTLY_FAILED)


def _ask_service(asked: Asked, url: str, api_key: str | None) -> Labeled:
    """What the service finds; ends the command with one clear line when it does not answer, or refuses."""
    from dap_client import DapClientError

    try:
        return label_by_service(asked, url, api_key)
    except DapClientError as error:
        raise fail(str(error), _choose_exit_code(error)) from error


def _choose_exit_code(error: Exception) -> ExitCode:
    from dap_client import AccessDenied, ImageProblem, InvalidRequest, NoAnswerError, ServiceUnavailable

    if isinstance(error, NoAnswerError | ServiceUnavailable):
        return ExitCode.UNREACHABLE
    if isinstance(error, AccessDenied):
        return ExitCode.UNAUTHORISED
    return ExitCode.USAGE if isinstance(error, InvalidRequest | ImageProblem) else ExitCode.FAILED


def _print_boxes(items: Sequence[dict[str, Any]]) -> None:
    file_names = Counter(Path(item["name"]).name for item in items)
    rows = []
    for item in items:
        name = Path(item["name"]).name
        if "problem" not in item:
            rows += _describe_item(item, name if file_names[name] == 1 else item["name"])
    if rows:
        stdout.print(make_table("boxes", _COLUMNS, rows))


def _describe_item(item: dict[str, Any], name: str) -> list[tuple[str, ...]]:
    """A row for each box, and for each label without one."""
    names = {one["index"]: one["name"] for one in item["labels"]}
    rows = []
    for box in item["boxes"]:
        corners = (f"{side:.0f}" for side in box["xyxy"])
        rows.append((name, names[box["label"]], f"{box['threshold']:.2f}", f"{box['score']:.2f}", *corners))
    missing = [(name, names[one["label"]], "none", one["reason"]) for one in item["no_box_reasons"]]
    return rows + [(*row, "", "", "", "") for row in missing]


def _report_problems(found: Labeled) -> int:
    """Prints a line for each image that failed, and says how many there are."""
    failed = [item for item in found.items if "problem" in item]
    for item in failed:
        slug = item["problem"]["type"].rpartition("/")[2]
        what = f"{item['name']}: {item['problem']['detail']}"
        stderr.print(f"[red]{escape(slug)}[/] {escape(what)}", soft_wrap=True)
    return len(failed)
