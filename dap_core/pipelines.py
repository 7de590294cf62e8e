"""A stream worked through in lanes: threads that each take a window of items from beginning to end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_lanes(
    items: Iterable[Item],
    work: Callable[[list[Item]], list[Result]],
    *,
    window: int,
    num_lanes: int,
    start_lane: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """What `work` makes of each item, in order.

    Items are taken in windows of `window`, which begin with the stream and depend on nothing else. Up to `num_lanes`
    windows are worked on at the same time and as many wait, taken from the stream or finished, so memory does not grow
    with the stream. `start_lane` is called once in each thread. An exception of the stream or of `work` ends the
    stream; what is in the lanes is then let go.
    """
    stream = iter(items)
    pool = ThreadPoolExecutor(num_lanes, thread_name_prefix="dap-lane", initializer=start_lane)
    underway: deque[Future[list[Result]]] = deque()
    try:
        while True:
            while len(underway) < 2 * num_lanes and (taken := list(islice(stream, window))):
                underway.append(pool.submit(work, taken))
            if not underway:
                return
            yield from underway.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
