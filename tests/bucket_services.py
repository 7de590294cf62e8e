"""Real services on one bucket of a server that ignores If-None-Match, and what kills them and their runners."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from dap_client import Client, Job

from dap_core.label_sets import open_label_set, verify_label_set
from dap_core.stores import LocalStore, SubStore
from dap_core.training.runs import read_metrics
from services.copying import copy_objects
from services.jobs.job_store import JobStore
from services.jobs.records import JobRecord
from services.launching import RunningServer, run_server, serve_command
from services.storage import S3Store
from tests.detector_builders import TINY
from tests.mining_builders import write_colour_folder
from tests.s3_servers import S3_ENVIRONMENT, S3Server
from tests.service_builders import RAY_ENVIRONMENT
from tests.training_driver import CHANGES

RESTART_S = 120.0
"""How soon a job has to get on after a kill."""
MODEL = {"classifier": TINY, "weights": "random"}
SAVE_EVERY = 8
"""Steps of a training between states to go on from."""
_OPTIONS = ("--classifier", TINY, "--weights", "random")


@dataclass
class Services:
    """Services on one store; each looks after the jobs of all, and of these one acts."""

    store: S3Store
    folder: Path
    environment: dict[str, str]
    stack: ExitStack
    running: list[RunningServer] = field(default_factory=list)

    def start(self, num_services: int = 2) -> Client:
        """So many more; a client of the last one."""
        for _ in range(num_services):
            command = serve_command("--store", self.store.uri, "--no-ray", "--max-jobs", "2", *_OPTIONS)
            log = self.folder / f"service-{len(self.running)}.log"
            self.running.append(self.stack.enter_context(run_server(command, log, environment=self.environment)))
        return self.stack.enter_context(Client(self.running[-1].url))

    @property
    def urls(self) -> list[str]:
        """Where they answer."""
        return [one.url for one in self.running]

    def place(self, name: str) -> str:
        """A place that jobs may read and write."""
        return f"{self.store.uri}/data/{name}"

    def put_pictures(self, number: int) -> None:
        """So many painted images below `data/photos`."""
        pictures = write_colour_folder(self.folder / "photos", number)
        copy_objects(LocalStore(pictures), SubStore(self.store, "data/photos"))

    def make_mine(self, out: str, /, **fields: Any) -> dict[str, Any]:
        """A job that labels them, in a few seconds."""
        places = {"source": [self.place("photos")], "out": self.place(out)}
        slow = {"engine": "torch", "precision": "float32", "short_sides": [128, 192]}
        return {"kind": "mine", "labels": ["goldfish"], **places, **slow, **MODEL, **fields}

    def make_pretrain(self, label_set: str, out: str, num_steps: int, /, **fields: Any) -> dict[str, Any]:
        """A job that trains on labels, a few steps a second."""
        places = {"label_set": self.place(label_set), "out": self.place(out)}
        short = {"changes": {**CHANGES, "num_steps": str(num_steps)}, "decoders": 0, "save_every": SAVE_EVERY}
        return {"kind": "pretrain", **places, **short, **MODEL, **fields}

    def check_labels(self, out: str, num_images: int, num_shards: int) -> None:
        """A label set holds all images, each once, and no shard is there twice."""
        label_set = open_label_set(SubStore(self.store, f"data/{out}"))
        keys = [row.key for row in label_set.rows()]
        assert (verify_label_set(label_set), label_set.manifest.state) == ([], "complete")
        assert (len(keys), len(set(keys))) == (num_images, num_images)
        assert self.count_done(self.place(out)) == num_shards

    def check_metrics(self, out: str, num_steps: int) -> None:
        """A training has the metrics of all steps, each once."""
        metrics = read_metrics(SubStore(self.store, f"data/{out}"))
        assert [one.step for one in metrics] == list(range(num_steps))

    def kill_service(self, number: int) -> None:
        """SIGKILL to a service; the runners that it started go on."""
        os.kill(self.running[number].pid, signal.SIGKILL)

    def signal_runner(self, job: Job, number: signal.Signals = signal.SIGKILL) -> int:
        """A signal to the process that runs a job; its id."""
        pid = self.read_record(job).pid
        assert pid
        os.kill(pid, number)
        return pid

    def kill_machine(self) -> None:
        """What a machine that fails takes with it: the services, the runners, and all that these started."""
        runners = self.find_runners()
        for number in range(len(self.running)):
            with suppress(ProcessLookupError):
                self.kill_service(number)
        for process in [*runners, *self.find_runners()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def kill_ray_head(self, job: Job) -> None:
        """SIGKILL to the GCS of the Ray on which a job runs."""
        runner = psutil.Process(self.read_record(job).pid)
        [head] = [one for one in runner.children(recursive=True) if one.name() == "gcs_server"]
        head.kill()

    def find_runners(self) -> list[psutil.Process]:
        """The processes that run jobs of this store, and what they started."""
        found = [one for one in psutil.process_iter() if _runs_jobs_of(one, self.store.uri)]
        return [*found, *(child for one in found for child in one.children(recursive=True))]

    def read_record(self, job: Job) -> JobRecord:
        """The newest record of a job that has begun."""
        record = JobStore(self.store).read_record(job.id)
        assert record is not None
        return record

    def count_done(self, out: str) -> int:
        """Shards that are committed, or the step of the newest state to go on from."""
        output = SubStore(self.store, out.removeprefix(f"{self.store.uri}/"))
        if shards := list(output.list_objects("data/")):
            return len(shards)
        states = [one.key for one in output.list_objects("states/") if one.key.endswith("/state.json")]
        return max((int(key.split("/")[1][:9]) for key in states), default=0)

    def wait_for_more(self, out: str, than: int | None = None) -> float:
        """Waits until more is done than now, or than `than`; how long that took, in seconds."""
        before, began = self.count_done(out) if than is None else than, time.monotonic()
        while self.count_done(out) <= before:
            assert time.monotonic() - began < RESTART_S, f"nothing was done in {RESTART_S:g} s"
            time.sleep(0.2)
        return time.monotonic() - began


@contextmanager
def make_services(server: S3Server, folder: Path) -> Iterator[Services]:
    """Services that are ended in the end, with whatever their runners left."""
    environment = {
        **RAY_ENVIRONMENT,
        **S3_ENVIRONMENT,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with ExitStack() as stack:
        services = Services(server.make_store("root"), folder, environment, stack)
        yield services
        services.kill_machine()


def _runs_jobs_of(process: psutil.Process, root: str) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return "services.jobs.attempting" in command and root in command
