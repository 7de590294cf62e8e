"""What takes long to make and does not change any more: made once however many threads ask, the latest kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class MadeOnce(Generic[K, V]):
    """Values by key, made when asked for; those asked for least recently go first when all weigh too much.

    Safe in threads. An error is raised to all who wait for that value, and the next one tries again.
    """

    def __init__(self, most: int, weigh: Callable[[V], int] = lambda _value: 1) -> None:
        """Keeps what weighs up to `most` together."""
        self._most, self._weigh = most, weigh
        self._values: OrderedDict[K, Future[V]] = OrderedDict()
        self._weights: dict[K, int] = {}
        self._changing = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of `key`, made by `make` where there is none."""
        with self._changing:
            found = self._values.get(key)
            if found is None:
                mine = self._values[key] = Future[V]()
            self._values.move_to_end(key)
        if found is not None:
            return found.result()
        try:
            value = make()
        except BaseException as error:
            with self._changing:
                del self._values[key]
            mine.set_exception(error)
            raise
        mine.set_result(value)
        self._keep(key, self._weigh(value))
        return value

    def _keep(self, key: K, weight: int) -> None:
        with self._changing:
            self._weights[key] = weight
            while sum(self._weights.values()) > self._most:
                oldest = next(one for one in self._values if one in self._weights)
                del self._values[oldest], self._weights[oldest]
