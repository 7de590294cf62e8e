"""Measures the service beside the bare labeler and LitServe, and under overload, and writes serving.md.

    python benchmarks/measure_serving.py ../shared/data/imagenet-320

LitServe comes with the extra `bench`. About eight minutes on two cores, which should have nothing else to do.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from importlib.metadata import version
from pathlib import Path

from measure_mining import describe_machine

from dap_core.datasets import open_source
from services.bare_labeler import EncodedImage, read_images
from services.loads import Call
from services.measuring import (
    LEAST_GOODPUT,
    Contestant,
    Overload,
    ServingSpeed,
    make_contestant,
    measure_serving,
)

OURS = ("one process", "Ray Serve")
MAX_IN_FLIGHT = 64
PACKAGES = ("ray", "fastapi", "uvicorn", "litserve")


def make_litserve(images: list[EncodedImage]) -> Contestant:
    """The same labeler behind LitServe."""
    script = str(Path(__file__).with_name("litserve_server.py"))
    bodies = [json.dumps({"image": base64.b64encode(data).decode(), "label": label}) for data, label in images]
    calls = tuple(Call("/predict", body.encode(), "application/json") for body in bodies)
    return Contestant("LitServe", (sys.executable, script, "{port}"), "/health", calls)


def describe_speed(speed: ServingSpeed) -> list[str]:
    """The table of rates."""
    by_name = {one.name: one for one in speed.servers}
    litserve = by_name["LitServe"].images_per_s
    lines = ["| | images/s | / in process | / LitServe | p50 alone | ready after |", "|---|---|---|---|---|---|"]
    lines += [f"| in process, `label_stream` | {speed.in_process_images_per_s:.2f} | 1 | | | |"]
    for one in speed.servers:
        figures = (
            f"{one.images_per_s:.2f}",
            f"{one.ratio_to_in_process:.2f}",
            f"{one.images_per_s / litserve:.2f}",
            f"{one.alone_p50_s * 1000:.0f} ms",
            f"{one.start_s:.0f} s",
        )
        lines.append(f"| {one.name} | {' | '.join(figures)} |")
    return lines


def describe_overload(one: Overload) -> str:
    """One line of the table of overload."""
    figures = (
        f"{one.capacity_per_s:.1f}",
        f"{one.num_calls}",
        f"{one.answered_well:.2%}",
        f"{one.goodput_at_1:.2f}",
        f"{one.goodput_at_10:.2f}",
        f"{one.goodput_at_10 / one.goodput_at_1:.2f}",
        f"{one.p99_s:.2f} s",
        f"{one.p99_s / one.alone_p50_s:.0f}",
        f"{one.bound_s:.2f} s, {one.bound_s / one.alone_p50_s:.0f}",
    )
    return f"| {one.name} | {' | '.join(figures)} |"


def make_report(images: Path, speed: ServingSpeed) -> str:
    """The page, as Markdown."""
    header = (
        "| | capacity | requests | 200, or 503 + Retry-After | goodput at 1x | at 10x | ratio | p99 accepted "
        "| / p50 alone | bound |"
    )
    parts = [
        "# Serving",
        "",
        f"`python benchmarks/measure_serving.py {images.name}`: recipe aligned, lite0, a JPEG a request.",
        "",
        *describe_machine(),
        f"- {', '.join(f'{name} {version(name)}' for name in PACKAGES)}",
        "",
        "## Rates",
        "",
        f"64 images, 16 requests in flight, {speed.num_rounds} rounds in turn, medians. Servers and the load share the "
        "cores; all servers are up all the time. `in process` is the bare labeler with the same engine and cores in a "
        "process of its own.",
        "",
        *describe_speed(speed),
        "",
        "## Overload",
        "",
        "Requests come at ten times the capacity whatever is answered; goodput counts images answered in that time. "
        f"A request is refused when {MAX_IN_FLIGHT} images are under way (`--max-in-flight`), so an accepted one waits "
        f"at most as long as that many take: the bound is that time at {LEAST_GOODPUT} of the goodput at 1x, and the "
        "time of a request alone.",
        "",
        header,
        "|---" * 10 + "|",
        *map(describe_overload, speed.overloads),
        "",
    ]
    return "\n".join(parts)


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="an ImageNet-style folder")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--overload-seconds", type=float, default=25)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("serving.md"))
    arguments = parser.parse_args()
    encoded = read_images(open_source([arguments.images]), 64)
    contestants = [
        make_contestant(OURS[0], encoded, "--no-ray"),
        make_contestant(OURS[1], encoded),
        make_litserve(encoded),
    ]
    speed = measure_serving(
        encoded,
        contestants,
        num_rounds=arguments.rounds,
        overload_s=arguments.overload_seconds,
        overloaded=OURS,
        max_in_flight=MAX_IN_FLIGHT,
    )
    report = make_report(arguments.images, speed)
    arguments.out.write_text(report)
    print(report)


if __name__ == "__main__":
    main()
