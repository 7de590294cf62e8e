"""Three steps that run at the same time over a stream: prepare in threads, run in the caller's, finish in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Ran = TypeVar("Ran")
Result = TypeVar("Result")


def run_pipeline(
    items: Iterable[Item],
    *,
    window: int,
    prepare: Callable[[Item], Prepared],
    run: Callable[[list[Prepared]], list[Ran]],
    finish: Callable[[Ran], Result],
    num_threads: int = 2,
) -> Iterator[Result]:
    """The result of each item, in order.

    Items are taken in windows of `window`: while one window runs, the next is prepared and the last finished. At most
    two windows are prepared ahead, so memory does not grow with the stream. Windows begin with the stream and
    depend on nothing else. An exception of any step ends the stream; what is in the threads is then let go.
    """
    stream = iter(items)
    ahead: deque[list[Future[Prepared]]] = deque()
    finishing: deque[list[Future[Result]]] = deque()
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="dap-pipeline")

    def look_ahead() -> None:
        taken = list(islice(stream, window))
        if taken:
            ahead.append([pool.submit(prepare, item) for item in taken])

    try:
        look_ahead()
        while ahead:
            look_ahead()
            ran = run([future.result() for future in ahead.popleft()])
            finishing.append([pool.submit(finish, one) for one in ran])
            if len(finishing) > 1:
                yield from (future.result() for future in finishing.popleft())
        for futures in finishing:
            yield from (future.result() for future in futures)
    finally:
        pool.shutdown(cancel_futures=True)
