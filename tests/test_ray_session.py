"""The Ray of one's own ends with all of its processes, and with none that are not its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import ray

from services.ray_session import connect_ray


def test_what_ray_started_is_ended_and_nothing_else() -> None:
    """A fork server holds the search path in its arguments, and with it names of Ray's directories.

    A handler of SIGTERM is heard while Ray runs.
    """
    heard: list[int] = []
    others = find_children()
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    known_path = f"import time; time.sleep(120); {ray.__path__[0]!r}"
    stranger = subprocess.Popen([sys.executable, "-c", known_path])
    try:
        with connect_ray(num_cpus=1):
            started = find_children()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        assert heard == [signal.SIGTERM]
        assert len(started - others) > 3, "Ray started no processes"
        assert find_children() == others | {stranger.pid}
        assert stranger.poll() is None
    finally:
        signal.signal(signal.SIGTERM, before)
        stranger.kill()
        stranger.wait()


def find_children() -> set[int]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "ray" in " ".join(process.cmdline()):
                found.add(process.pid)
    return found
