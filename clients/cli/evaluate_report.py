"""What `dap evaluate` prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clients.cli.console import make_table, print_json, stdout, warn

if TYPE_CHECKING:
    from services.jobs.records import JobRecord

_MOST_CLASSES, _SHOWN = 40, 3


def report_evaluation(record: JobRecord, *, as_json: bool) -> None:
    """Prints the figures of an evaluation, as tables or as JSON, and what is odd about it."""
    result = {"job": record.job, **(record.result or {})}
    if as_json:
        print_json(result)
    else:
        _print_figures(result)
        _print_classes(result["classes"])
        if result["out"]:
            stdout.print(f"report.html, metrics.json and more are in {result['out']}", markup=False, soft_wrap=True)
    if result["failures"]:
        more = f", and {result['failed'] - _SHOWN} more" if result["failed"] > _SHOWN else ""
        listed = "; ".join(result["failures"][:_SHOWN])
        warn(f"{result['failed']} images could not be read and count as empty: {listed}{more}")


def _print_figures(result: dict[str, Any]) -> None:
    coco, voc, classifier = result["coco"], result["voc"], result["classifier"]
    rows = [
        ("AP (COCO, IoU 0.50 to 0.95)", format_share(coco["ap"])),
        ("AP50", format_share(coco["ap50"])),
        ("AP75", format_share(coco["ap75"])),
        *((f"AP, {size} boxes", format_share(coco[f"ap_{size}"])) for size in ("small", "medium", "large")),
        ("average recall, 100 boxes", format_share(coco["recall"])),
        ("VOC AP50, area", format_share(voc["ap50_area"])),
        ("VOC AP50, 11 points", format_share(voc["ap50_11_points"])),
    ]
    if classifier:
        rows += [
            ("as a classifier, top-1", format_share(classifier["top1"])),
            ("top-5", format_share(classifier["top5"])),
        ]
    table = make_table("figures in percent", ("", ""), rows)
    table.show_header = False
    stdout.print(table)
    ignored = f", {result['ignored_boxes']:,} ignored" if result["ignored_boxes"] else ""
    mirrored = ", mirrored too" if result["mirror"] else ""
    stdout.print(
        f"{result['images']:,} images with {result['boxes']:,} drawn boxes{ignored}; "
        f"{result['detections']:,} detections; {result['architecture']} at {result['short_side']} px{mirrored}, "
        f"{result['images_per_s']:.1f} images/s",
        markup=False,
        soft_wrap=True,
    )


def _print_classes(classes: list[dict[str, Any]]) -> None:
    drawn = [one for one in classes if one["boxes"]]
    if len(drawn) < 2:
        return
    rows = [
        (
            one["name"],
            f"{one['boxes']:,}",
            f"{one['detections']:,}",
            *(format_share(one[name]) for name in ("ap", "ap50", "voc_ap50_area", "voc_ap50_11_points")),
        )
        for one in drawn[:_MOST_CLASSES]
    ]
    columns = ("class", "boxes", "found", "AP", "AP50", "VOC area", "VOC 11 p.")
    stdout.print(make_table("\nby class", columns, rows))
    if len(drawn) > _MOST_CLASSES:
        stdout.print(f"and {len(drawn) - _MOST_CLASSES} more classes; --json or --out gives all", markup=False)


def format_share(share: float | None) -> str:
    """A share as percent with one decimal, a dash for what could not be measured.

    >>> format_share(0.5032), format_share(None)
    ('50.3', '-')
    """
    return "-" if share is None else f"{100 * share:.1f}"
