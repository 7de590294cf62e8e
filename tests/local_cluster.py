"""A cluster of Ray nodes on this machine, brought up and down by `deploy/local-cluster.sh`, with the service on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from dap_client import Client

from services.keys import create_key
from tests.bucket_services import Services
from tests.detector_builders import TINY
from tests.s3_servers import S3_ENVIRONMENT, S3Server

SCRIPT = Path(__file__).parents[1] / "deploy" / "local-cluster.sh"


@dataclass
class LocalCluster:
    """A cluster that is up; `data` reads and writes the bucket of its service."""

    environment: dict[str, str]
    """Of its nodes: where it and its store are, and the token."""
    data: Services
    api_key: str = ""

    @property
    def url(self) -> str:
        """Where the service answers."""
        return self.environment["CLUSTER_URL"]

    def run(self, *arguments: str) -> str:
        """A command of the script; what it prints."""
        return _run_script(self.environment, *arguments)

    def deploy(self, **settings: Any) -> None:
        """The service with these settings, also over one that runs; with a key that may do all."""
        config = yaml.safe_load((SCRIPT.parent / "serve.yaml").read_text())
        config["applications"][0]["args"] |= settings
        file = self.data.folder / "given.yaml"
        file.write_text(yaml.safe_dump(config))
        self.run("deploy", str(file))
        if not self.api_key:
            self.api_key = create_key(self.data.store, "tests", ["label", "jobs"])[1]

    def find_ports(self) -> list[tuple[str, int]]:
        """Where the processes of Ray listen, but for the port of the service."""
        listed = [line.split() for line in self.run("list").splitlines() if not line.startswith("store ")]
        found = {one for _, *pids in listed for pid in pids for one in _list_listening(int(pid))}
        own = int(self.environment["CLUSTER_HTTP_PORT"])
        return sorted((host, port) for host, port in found if port != own)

    def find_processes(self, name: str, title: str) -> list[int]:
        """Processes of a node whose command begins with `title`."""
        listed = dict(line.split(" ", 1) for line in self.run("list").splitlines())
        return [pid for pid in map(int, listed[name].split()) if _read_command(pid).startswith(title)]

    def open_client(self) -> Client:
        """A client of the service, which the end of the cluster closes."""
        return self.data.stack.enter_context(Client(self.url, api_key=self.api_key, timeout_s=120))

    def is_ready(self) -> bool:
        """Whether the service answers."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).is_success
        except httpx.TransportError:
            return False


@contextmanager
def run_cluster(
    server: S3Server, folder: Path, num_nodes: int, environment: Mapping[str, str] | None = None
) -> Iterator[LocalCluster]:
    """A cluster of a head and so many nodes on a new bucket; its service is not deployed yet."""
    stack = ExitStack()
    data = Services(server.make_store("root"), folder, {}, stack)
    given = {
        **os.environ,
        **S3_ENVIRONMENT,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "CLUSTER_DIR": str(folder / "cluster"),
        "DAP_STORE": data.store.uri,
        "DAP_CLASSIFIER": TINY,
        "DAP_WEIGHTS": "random",
        "DAP_MAX_JOBS": "2",
        "PYTHON": sys.executable,
        **(environment or {}),
    }
    with stack:
        try:
            _run_script(given, "up", str(num_nodes))
            yield LocalCluster(_read_environment(given, folder / "cluster" / "env"), data)
        finally:
            _run_script(given, "down")


def _read_command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""


def _list_listening(pid: int) -> list[tuple[str, int]]:
    try:
        connections = psutil.Process(pid).net_connections("inet")
    except psutil.NoSuchProcess:
        return []
    places = [one.laddr for one in connections if one.status == psutil.CONN_LISTEN]
    return [(_name_host(place.ip), place.port) for place in places]


def _name_host(ip: str) -> str:
    """Where to reach what listens on an address, as it stands in a URL."""
    ip = ip.removeprefix("::ffff:")
    if ip in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{ip}]" if ":" in ip else ip


def _read_environment(given: Mapping[str, str], file: Path) -> dict[str, str]:
    """The variables after a shell has read a file."""
    command = ["bash", "-c", 'source "$0" && env -0', str(file)]
    shown = subprocess.run(command, env=given, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in shown.split("\0") if "=" in line)


def _run_script(environment: Mapping[str, str], *arguments: str) -> str:
    run = subprocess.run(
        [str(SCRIPT), *arguments], env=dict(environment), cwd=SCRIPT.parents[1], capture_output=True, text=True
    )
    assert run.returncode == 0, f"{arguments}: {run.stdout[-1000:]}{run.stderr[-3000:]}"
    return run.stdout
