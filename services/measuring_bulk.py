"""`dap bench bulk`: what bulk labelling from store to store costs beside the bare labeler.

Everything is measured in one run: `dap mine` as whole processes, the bare labeler in one of its own.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import Any

import psutil

from dap_core.errors import DapError
from dap_core.stores import Store
from services.bare_labeler import BareLabeler, EncodedImage
from services.storage import open_store

WAYS = {"one process": (), "a labeler on Ray": ("--labelers", "1")}
_WATCH_S = 0.25
_UPLOADS = 16


class BulkRunError(DapError):
    """A measured `dap mine` failed; the message holds the end of what it printed."""

    error_type = "bulk-run-failed"


@dataclass(frozen=True, slots=True)
class BulkSpeed:
    """One way to label; medians over the rounds. Rates are images/s once started, `start_up_s` the time before.

    `ratio` is the rate beside that of the bare labeler in the same round.
    """

    way: str
    images_per_s: float
    ratio: float
    start_up_s: float


@dataclass(frozen=True, slots=True)
class BulkPeak:
    """Resident memory at the peak, in MiB, summed over all processes of a run; and how long resuming it took."""

    way: str
    num_images: int
    peak_mib: float
    images_per_s: float
    resume_s: float


@dataclass(frozen=True, slots=True)
class MinedRun:
    """One `dap mine`: what it printed as JSON, its wall time, and its memory."""

    result: dict[str, Any]
    seconds: float
    peak_mib: float


def measure_bulk_speed(
    images: Sequence[EncodedImage], scratch: str, *, num_rounds: int
) -> tuple[float, list[BulkSpeed]]:
    """The rate of the bare labeler, and each way beside it; the rounds are done in turn.

    Images are put below `scratch`, an object store or folder, and everything there is removed at the end.
    """
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    bare_rates, start_ups = [], {way: list[float]() for way in WAYS}
    with _scratch(scratch) as root, BareLabeler() as bare:
        upload_copies(images, open_store(f"{root}/images"), len(images))
        for number in range(num_rounds):
            bare_rates.append(bare.measure_rate(images))
            for way, options in WAYS.items():
                out = f"{root}/labels-{number}-{len(options)}"
                result = run_mine_command([f"{root}/images", "--out", out, *options]).result
                rates[way].append(result["images_per_s"])
                start_ups[way].append(result["start_up_s"])
    speeds = [
        BulkSpeed(
            way,
            median(rates[way]),
            median(rate / bare_rate for rate, bare_rate in zip(rates[way], bare_rates, strict=True)),
            median(start_ups[way]),
        )
        for way in WAYS
    ]
    return median(bare_rates), speeds


def measure_bulk_memory(
    images: Sequence[EncodedImage], scratch: str, *, counts: Sequence[int], options: Sequence[str] = ()
) -> list[BulkPeak]:
    """Memory of each way for these numbers of images (copies under new keys), and the time to resume when done."""
    peaks = []
    with _scratch(scratch) as root:
        for count in counts:
            upload_copies(images, open_store(f"{root}/images-{count}"), count)
            for way, chosen in WAYS.items():
                arguments = [
                    f"{root}/images-{count}",
                    "--out",
                    f"{root}/labels-{count}-{len(chosen)}",
                    *options,
                    *chosen,
                ]
                run = run_mine_command(arguments, watches_memory=True)
                again = run_mine_command(arguments)
                if again.result["mined_now"]:
                    raise BulkRunError(f"a finished run labelled {again.result['mined_now']} images again")
                rate = run.result["images_per_s"]
                peaks.append(BulkPeak(way, count, round(run.peak_mib), rate, round(again.seconds, 2)))
    return peaks


def upload_copies(images: Sequence[EncodedImage], store: Store, count: int) -> None:
    """Puts `count` images, again and again under new keys, into folders named after their labels."""
    named = ((f"{label}/{number:06d}.jpg", data) for number, (data, label) in enumerate(islice(cycle(images), count)))
    with ThreadPoolExecutor(_UPLOADS) as writers:
        for _ in writers.map(lambda item: store.put(*item), named):
            pass


def run_mine_command(arguments: Sequence[str], *, watches_memory: bool = False) -> MinedRun:
    """Runs `dap mine` as a process; its memory is 0 unless watched. Raises BulkRunError when it fails."""
    command = [sys.executable, "-m", "clients.cli.main", "mine", *arguments, "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own
    watch = _MemoryWatch(process.pid) if watches_memory else None
    printed, errors = process.communicate()
    seconds = time.perf_counter() - began
    peak = watch.stop() if watch else 0.0
    if process.returncode not in (0, 3):
        raise BulkRunError(f"dap mine ended with {process.returncode}: {errors[-2000:]}")
    return MinedRun(json.loads(printed), seconds, peak)


class _MemoryWatch:
    """Looks again and again how much memory a process and its children have."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """The peak in MiB."""
        self._ended.set()
        self._thread.join()
        return self._peak / 2**20

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_S):
            with suppress(psutil.Error):
                root = psutil.Process(self._pid)
                self._peak = max(self._peak, sum(map(_read_memory, [root, *root.children(recursive=True)])))


def _read_memory(process: psutil.Process) -> int:
    """Proportional memory of a process: pages that several share are counted once in all."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0


@contextmanager
def _scratch(place: str) -> Iterator[str]:
    """A new folder below a place, removed at the end."""
    root = f"{place.rstrip('/')}/dap-bench-{secrets.token_hex(6)}"
    try:
        yield root
    finally:
        store = open_store(root)
        keys = [info.key for info in store.list_objects()]
        with ThreadPoolExecutor(_UPLOADS) as deleters:
            for _ in deleters.map(store.delete, keys):
                pass
