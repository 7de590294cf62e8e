"""Load on an HTTP service and what came of it: callers that wait for answers, or that come whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import aiohttp

_TIMEOUT_S = 120.0
_OK, _UNAVAILABLE = 200, 503


@dataclass(frozen=True, slots=True)
class Call:
    """One request to send over and over: body, headers and path with query."""

    path: str
    body: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came back; `statuses` counts HTTP statuses, 0 stands for a connection that broke.

    `wall_s` is how long calls were sent, `num_ok` the answers with status 200 in that time, `seconds_ok` the times of
    all those answers, sorted; `refused_well` the share of 503 that had Retry-After (1 when there was none).
    """

    wall_s: float
    statuses: dict[int, int]
    num_ok: int
    seconds_ok: tuple[float, ...] = field(repr=False)
    refused_well: float

    @property
    def num_calls(self) -> int:
        """All requests."""
        return sum(self.statuses.values())

    @property
    def images_per_s(self) -> float:
        """Good answers in a second, of one image each."""
        return self.num_ok / self.wall_s

    def percentile_s(self, percent: float) -> float:
        """Seconds within which that percentage of the good answers came; NaN without any."""
        if not self.seconds_ok:
            return float("nan")
        return self.seconds_ok[min(len(self.seconds_ok) - 1, int(percent / 100 * len(self.seconds_ok)))]


class _Recorder:
    def __init__(self, url: str) -> None:
        self._url = url
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self._client = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        self._statuses: Counter[int] = Counter()
        self._ok: list[tuple[float, float]] = []
        self._refused_well = 0
        self._started = time.perf_counter()

    async def send(self, call: Call) -> None:
        started = time.perf_counter()
        headers = {"Content-Type": call.content_type}
        try:
            async with self._client.post(self._url + call.path, data=call.body, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            self._statuses[0] += 1
            return
        self._statuses[answer.status] += 1
        self._refused_well += answer.status == _UNAVAILABLE and "Retry-After" in answer.headers
        if answer.status == _OK:
            now = time.perf_counter()
            self._ok.append((now - self._started, now - started))

    async def finish(self, sent_s: float | None = None) -> LoadResult:
        """The result; calls were sent for `sent_s`, until now when left out."""
        wall_s = sent_s or time.perf_counter() - self._started
        await self._client.close()
        refused = self._statuses[_UNAVAILABLE]
        share = self._refused_well / refused if refused else 1.0
        num_ok = sum(at_s <= wall_s for at_s, _ in self._ok)
        seconds = tuple(sorted(taken_s for _, taken_s in self._ok))
        return LoadResult(wall_s, dict(self._statuses), num_ok, seconds, share)


def run_closed_loop(url: str, calls: Sequence[Call], *, in_flight: int) -> LoadResult:
    """Sends each call once; `in_flight` callers wait for their answer before they send the next."""

    async def work() -> LoadResult:
        recorder, waiting = _Recorder(url), iter(calls)

        async def caller() -> None:
            for call in waiting:
                await recorder.send(call)

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return await recorder.finish()

    return asyncio.run(work())


def run_open_loop(
    url: str,
    calls: Sequence[Call],
    *,
    per_s: float,
    seconds: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> LoadResult:
    """Sends `per_s` calls a second for some seconds, whatever comes back, then waits for the answers.

    `meanwhile` is called once, in a thread, halfway.
    """

    async def work() -> LoadResult:
        recorder, stream = _Recorder(url), cycle(calls)
        due = [number / per_s for number in range(int(per_s * seconds))]
        await asyncio.gather(
            *(_delayed(recorder, next(stream), due_s) for due_s in due), _later(seconds / 2, meanwhile)
        )
        return await recorder.finish(seconds)

    return asyncio.run(work())


async def _delayed(recorder: _Recorder, call: Call, due_s: float) -> None:
    await asyncio.sleep(due_s)
    await recorder.send(call)


async def _later(seconds: float, work: Callable[[], None]) -> None:
    await asyncio.sleep(seconds)
    await asyncio.to_thread(work)
