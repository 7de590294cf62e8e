"""Peak memory of mining, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from dap_core.datasets import open_source
from dap_core.labeler import Labels, PseudoLabeler

_NUM_DIFFERENT = 200


def measure_peak_memory(images: Path, num_images: int, *, engine: str = "auto", precision: str = "auto") -> float:
    """MiB of resident memory at the peak of a fresh process that mines `num_images`.

    It goes through the first 200 images of the folder again and again, so that the largest of them do not tell counts
    apart, and lets results go as they come.
    """
    start = f"from {__name__} import main; main()"
    command = [sys.executable, "-c", start, str(images), str(num_images), engine, precision]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    return float(json.loads(finished.stdout)["peak_mib"])


def _read_images(folder: Path) -> Iterator[tuple[bytes, Labels]]:
    source = open_source([folder])
    for row in cycle(source.rows[:_NUM_DIFFERENT]):
        yield source.store.get(row.key), row.labels


def _read_peak_kib() -> int:
    """Of this process alone: the resource usage of a process counts the memory of its parent when it was started."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Mines as the command line says and prints the peak: what the process of its own runs."""
    folder, num_images, engine, precision = sys.argv[1:]
    labeler = PseudoLabeler(engine=engine, precision=precision)  # type: ignore[arg-type]
    for _ in labeler.label_stream(islice(_read_images(Path(folder)), int(num_images))):
        pass
    sys.stdout.write(json.dumps({"peak_mib": _read_peak_kib() / 1024}))
