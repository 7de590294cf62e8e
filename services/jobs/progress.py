"""Counting how far a job is, from any thread."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

from services.jobs.records import ProgressCounts

_WINDOW_S = 60.0


class Progress:
    """Counters of one attempt, and the rate over the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._lock = threading.Lock()
        self._clock = clock
        self._total = self._parts = 0
        self._done = self._failed = self._parts_done = 0
        self._by_type: Counter[str] = Counter()
        self._samples: deque[tuple[float, int]] = deque()
        self._part_name = "shard"
        self._metrics: dict[str, float] = {}

    def start(self, total: int, *, parts: int, part_name: str = "shard") -> None:
        """Sets what is to be done, in images and in parts; done and rate count from here."""
        with self._lock:
            self._total, self._parts, self._part_name = total, parts, part_name
            self._done = self._failed = self._parts_done = 0
            self._by_type.clear()
            self._samples = deque([(self._clock(), 0)])

    def set_metrics(self, metrics: Mapping[str, float]) -> None:
        """The newest figures of training."""
        with self._lock:
            self._metrics = dict(metrics)

    def resume(self, num_done: int, num_failed: int, *, parts: int = 1) -> None:
        """Counts what was done before, in so many parts; it is no part of the rate."""
        with self._lock:
            self._done += num_done
            self._failed += num_failed
            self._parts_done += parts
            self._samples = deque((when, done + num_done) for when, done in self._samples)

    def add(self, num_done: int = 0, failures: Mapping[str, int] | None = None, *, parts: int = 0) -> None:
        """Counts what was done now: `failures` by type are among `num_done`. Negative numbers take back."""
        with self._lock:
            self._done += num_done
            self._parts_done += parts
            self._by_type.update(failures or {})
            self._failed += sum((failures or {}).values())
            self._note()

    def read(self) -> ProgressCounts:
        """The counts by now."""
        with self._lock:
            self._note()
            rate = self._compute_rate()
            return ProgressCounts(
                total=self._total,
                done=self._done,
                failed=self._failed,
                failures_by_type={kind: number for kind, number in self._by_type.items() if number},
                parts=self._parts,
                parts_done=self._parts_done,
                part_name=self._part_name,
                metrics=dict(self._metrics),
                per_s=rate,
                eta_s=round((self._total - self._done) / rate, 1) if rate else None,
            )

    def _note(self) -> None:
        now = self._clock()
        if len(self._samples) < 2 or now - self._samples[-1][0] >= 1:
            self._samples.append((now, self._done))
        while len(self._samples) > 2 and now - self._samples[1][0] > _WINDOW_S:
            self._samples.popleft()

    def _compute_rate(self) -> float | None:
        if not self._samples:
            return None
        started, done = self._samples[0]
        seconds = self._clock() - started
        return round((self._done - done) / seconds, 3) if seconds > 0 and self._done > done else None
