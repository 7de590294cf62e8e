"""`dap bench serve`: what HTTP and the pool cost beside the bare labeler, and what overload does.

Everything runs on this machine in one run: real server processes, JPEG bytes, the load from this process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import quote

from dap_core.errors import InputError
from services.bare_labeler import BareLabeler, EncodedImage
from services.launching import RunningServer, run_server, serve_command
from services.loads import Call, LoadResult, run_closed_loop, run_open_loop

IN_FLIGHT = 16
OVERLOAD = 10
LEAST_GOODPUT = 0.85
"""Share of the goodput at capacity that must be left under overload; refusals may cost the rest."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server to measure: the command that starts it with `{port}`, where it is ready, and its calls."""

    name: str
    command: tuple[str, ...]
    ready_path: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class ServerSpeed:
    """One server; rates are images/s, medians over the rounds, ratios those of each round.

    `start_s` is the time from the command to the first answer.
    """

    name: str
    images_per_s: float
    ratio_to_in_process: float
    alone_p50_s: float
    start_s: float


@dataclass(frozen=True, slots=True)
class Overload:
    """One server under ten times its capacity.

    `answered_well` is the share of answers that are 200, or 503 with Retry-After; `bound_s` what the queue limit
    promises for the slowest accepted request: a full queue at `LEAST_GOODPUT` of the goodput at 1x, and one request
    alone.
    """

    name: str
    capacity_per_s: float
    goodput_at_1: float
    goodput_at_10: float
    answered_well: float
    num_calls: int
    alone_p50_s: float
    p99_s: float
    bound_s: float


@dataclass(frozen=True, slots=True)
class ServingSpeed:
    """One run of the benchmark."""

    num_rounds: int
    in_process_images_per_s: float
    servers: tuple[ServerSpeed, ...]
    overloads: tuple[Overload, ...]


def make_contestant(name: str, images: Sequence[EncodedImage], *options: str) -> Contestant:
    """Our service with these options of `dap serve`."""
    calls = tuple(Call(f"/v1/boxes?labels={quote(label)}", data, "image/jpeg") for data, label in images)
    return Contestant(name, tuple(serve_command(*options)), "/readyz", calls)


def measure_serving(
    images: Sequence[EncodedImage],
    contestants: Sequence[Contestant],
    *,
    num_rounds: int = 3,
    overload_s: float = 20.0,
    overloaded: Sequence[str] = (),
    max_in_flight: int = 64,
) -> ServingSpeed:
    """Times the bare labeler and every server in turn on the same images, then those named in `overloaded` under load.

    All servers stay up meanwhile. Raises ServerError when one does not start, InputError when it does not answer.
    """
    with ExitStack() as stack:
        bare = stack.enter_context(BareLabeler())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls, starts = [], []
        for number, contestant in enumerate(contestants):
            started = time.perf_counter()
            urls.append(stack.enter_context(_start(contestant, folder / str(number))).url)
            starts.append(time.perf_counter() - started)
        _take_turn(bare, images, contestants, urls)
        rounds = [_take_turn(bare, images, contestants, urls) for _ in range(num_rounds)]
        alone = [run_closed_loop(url, one.calls[:10], in_flight=1) for one, url in zip(contestants, urls, strict=True)]
        in_process = [rates[0] for rates in rounds]
        servers = tuple(
            ServerSpeed(
                one.name,
                median(rates[number] for rates in rounds),
                median(rates[number] / rates[0] for rates in rounds),
                result.percentile_s(50),
                start_s,
            )
            for number, (one, result, start_s) in enumerate(zip(contestants, alone, starts, strict=True), 1)
        )
        overloads = tuple(
            _overload(one, url, speed, overload_s, max_in_flight)
            for one, url, speed in zip(contestants, urls, servers, strict=True)
            if one.name in overloaded
        )
    return ServingSpeed(num_rounds, median(in_process), servers, overloads)


def _start(contestant: Contestant, folder: Path) -> AbstractContextManager[RunningServer]:
    folder.mkdir()
    return run_server(
        contestant.command, folder / "log", ready_path=contestant.ready_path, environment={"DAP_STORE": str(folder)}
    )


def _take_turn(
    bare: BareLabeler, images: Sequence[EncodedImage], contestants: Sequence[Contestant], urls: Sequence[str]
) -> list[float]:
    """Images/s of the bare labeler, then of each server."""
    rates = [bare.measure_rate(images)]
    for contestant, url in zip(contestants, urls, strict=True):
        result = run_closed_loop(url, contestant.calls, in_flight=IN_FLIGHT)
        if result.statuses != {200: len(contestant.calls)}:
            raise InputError(f"{contestant.name} did not answer every image: statuses {result.statuses}")
        rates.append(result.images_per_s)
    return rates


def _overload(one: Contestant, url: str, speed: ServerSpeed, seconds: float, max_in_flight: int) -> Overload:
    capacity = speed.images_per_s
    once = run_open_loop(url, one.calls, per_s=capacity, seconds=seconds)
    much = run_open_loop(url, one.calls, per_s=OVERLOAD * capacity, seconds=seconds)
    return Overload(
        name=one.name,
        capacity_per_s=capacity,
        goodput_at_1=once.images_per_s,
        goodput_at_10=much.images_per_s,
        answered_well=count_well(much) / much.num_calls,
        num_calls=much.num_calls,
        alone_p50_s=speed.alone_p50_s,
        p99_s=much.percentile_s(99),
        bound_s=max_in_flight / (LEAST_GOODPUT * once.images_per_s) + speed.alone_p50_s,
    )


def count_well(result: LoadResult) -> float:
    """Answers that are 200, or 503 with Retry-After."""
    return result.statuses.get(200, 0) + result.statuses.get(503, 0) * result.refused_well
