"""What planning takes, measured in a process of its own: prints seconds and peak memory as JSON.

`plan URI` is `dap plan URI --json`, `mine URI FOLDER` is what `dap mine` does up to its first image, without a network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.s3_servers import S3_ENVIRONMENT


def measure_planning(url: str, *arguments: str) -> dict[str, Any]:
    """Runs this module against the S3 server at `url`."""
    command = [sys.executable, "-m", "tests.planning_process", *arguments]
    environment = {**os.environ, **S3_ENVIRONMENT, "AWS_ENDPOINT_URL": url}
    started = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": time.monotonic() - started}


def run_plan_command(uri: str) -> dict[str, Any]:
    """The whole command; its own output comes before that of this module."""
    from clients.cli.main import app

    app(["plan", uri, "--json"], standalone_mode=False)
    return {}


def plan_mining(uri: str, folder: str) -> dict[str, Any]:
    """Lists a bucket, freezes its plan into a folder, reads it back, resumes it, and looks for new images."""
    from dap_core.class_lists import imagenet_classes
    from dap_core.datasets.unknown_labels import find_unknown_labels
    from dap_core.label_sets.plan import assign_shards, freeze_plan
    from dap_core.label_sets.runner import find_committed, start_label_set
    from dap_core.label_sets.segments import add_new_images, open_for_growth
    from dap_core.stores import LocalStore
    from services.sources import open_source_at
    from tests.test_plan import make_settings

    classes = imagenet_classes()
    settings, store = make_settings(classes=classes, source=uri), LocalStore(folder)
    before = read_peak()
    source = open_source_at([uri])
    unknown = find_unknown_labels(source.rows, classes).num_images
    start_label_set(store, *freeze_plan(assign_shards(source.rows), settings))
    resumed = start_label_set(store, *freeze_plan(assign_shards(source.rows), settings))
    found = {"rows": resumed.num_rows, "shards": len(resumed.shards), "committed": len(find_committed(store, resumed))}
    del resumed
    grown = add_new_images(store, open_for_growth(store, settings), source.rows)
    return {**found, "segments": len(grown.segments), "unknown": unknown, "grown_bytes": read_peak() - before}


def read_peak() -> int:
    """The most memory this process had resident so far, in bytes."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    results = {"plan": run_plan_command, "mine": plan_mining}[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(json.dumps({**results, "peak_bytes": read_peak()}) + "\n")
